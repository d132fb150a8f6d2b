"""Opens EoS-Fed ensemble releases in PyTorch.

A release is a folder, as ``eosfed release pull`` makes it: a manifest, and for each specialist its card and its
weights as safetensors. Nothing here runs code from a release, and every file is checked against its digest.
"""

from .card import BandNormalisation, Card, ReleaseError
from .ensemble import Ensemble, open_release
from .export import export_eosfm
from .imagery import Imagery
from .specialist import Specialist

__all__ = [
    "BandNormalisation",
    "Card",
    "Ensemble",
    "Imagery",
    "ReleaseError",
    "Specialist",
    "export_eosfm",
    "open_release",
]
__version__ = "0.1.0"
