"""Opens EoS-Fed ensemble releases in PyTorch.

A release is a folder, as ``eosfed release pull`` makes it: a manifest, and for each specialist its card and its
weights as safetensors. Nothing here runs code from a release, and every file is checked against its digest.
"""

from .card import BandNormalisation, Card, ReleaseError
from .ensemble import Ensemble, open_release
from .eosfm import export_eosfm, open_eosfm
from .heads import HeadModel, open_head
from .huggingface import export_huggingface, open_huggingface
from .imagery import Imagery
from .onnx import export_onnx
from .specialist import Specialist

__all__ = [
    "BandNormalisation",
    "Card",
    "Ensemble",
    "HeadModel",
    "Imagery",
    "ReleaseError",
    "Specialist",
    "export_eosfm",
    "export_huggingface",
    "export_onnx",
    "open_eosfm",
    "open_head",
    "open_huggingface",
    "open_release",
]
__version__ = "0.1.0"
