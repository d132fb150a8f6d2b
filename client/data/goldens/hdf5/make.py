"""Makes small files of HDF5 that name other files, and some that do not, in the oldest and the newest form of the library.

    python3 make.py          # needs h5py; made with h5py 3.16.0, HDF5 2.0.0
"""

import pathlib

import h5py
import numpy

HERE = pathlib.Path(__file__).parent
OTHER = "other.h5"
# More than a leaf of a B-tree and the first block of a heap hold.
MANY = 60


def own(file):
    """Everything lies in the file: numbers, a group, and links to both."""
    pixels = file.create_dataset("pixels", data=numpy.arange(6, dtype="f4").reshape(2, 3))
    pixels.attrs["units"] = "1"
    group = file.create_group("group")
    group.create_dataset("small", data=numpy.arange(4, dtype="u1"), chunks=(2,))
    group["hard"] = pixels
    group["soft"] = h5py.SoftLink("/pixels")


def link(file):
    file.create_group("group")["elsewhere"] = h5py.ExternalLink(OTHER, "/pixels")


def storage(file):
    file.create_group("group").create_dataset("pixels", (2, 3), "f4", external=[("other.bin", 0, 24)])


def virtual(file):
    layout = h5py.VirtualLayout((2, 3), "f4")
    layout[:] = h5py.VirtualSource(OTHER, "pixels", shape=(2, 3))
    file.create_group("group").create_virtual_dataset("pixels", layout)


def many(file):
    """Links that do not fit into the header of a group, in the order of their creation too."""
    group = file.create_group("group", track_order=True)
    for number in range(MANY):
        group[f"a-soft-link-of-number-{number}"] = h5py.SoftLink("/pixels")
    return group


def many_links(file):
    many(file)["elsewhere"] = h5py.ExternalLink(OTHER, "/pixels")


def main():
    for name, version in [("old", "earliest"), ("new", "latest")]:
        for what in [own, link, storage, virtual]:
            with h5py.File(HERE / f"{name}-{what.__name__}.h5", "w", libver=version) as file:
                what(file)
    for what in [many, many_links]:
        with h5py.File(HERE / f"{what.__name__.replace('_', '-')}.h5", "w", libver="latest") as file:
            what(file)


main()
