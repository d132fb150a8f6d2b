"""The command line: ``python -m eosfed`` or ``eosfed-py``."""

from __future__ import annotations

import argparse
import sys

from .card import ReleaseError, read_manifest
from .ensemble import open_release
from .eosfm import export_eosfm
from .huggingface import export_huggingface
from .onnx import export_onnx

EXIT_USAGE, EXIT_FAILED = 64, 1


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        self.print_usage(sys.stderr)
        self.exit(EXIT_USAGE, f"error: {message}\n")


def info(release: str) -> None:
    from pathlib import Path

    number, cards = read_manifest(Path(release))
    print(f"release {number}: {len(cards)} specialists")
    for card in cards:
        print(
            f"  {card.name}@{card.version}  {card.backbone}, {card.task}, bands {', '.join(card.bands)}, licence {card.licence}"
        )
    ensemble = open_release(release)
    print(f"every file is what the manifest says; concatenated maps have {ensemble.out_channels} channels")


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(
        prog="eosfed-py", description="Opens EoS-Fed ensemble releases, as `eosfed release pull` makes them."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    show = commands.add_parser("info", help="check a release and say what is in it")
    show.add_argument("release", help="folder of a release")
    export = commands.add_parser(
        "export-eosfm", help="write the file that the reference implementation of EoS-FM loads"
    )
    export.add_argument("release", help="folder of a release")
    export.add_argument("output", help="the file, such as ensemble.pth")
    onnx = commands.add_parser("export-onnx", help="write a release, or a head over it, as ONNX")
    onnx.add_argument("source", help="folder of a release, or of a head, whose answers are the output")
    onnx.add_argument("output", help="the file, such as model.onnx")
    onnx.add_argument("--release", help="folder of the release under a head; default: the one that it was trained with")
    onnx.add_argument(
        "--size", type=int, nargs="+", help="height and width of images; default: what the head learned from"
    )
    face = commands.add_parser("export-hf", help="write a specialist in Hugging Face's layout, which timm loads")
    face.add_argument("release", help="folder of a release")
    face.add_argument("specialist", help="name of the specialist")
    face.add_argument("output", help="the folder")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "info":
            info(chosen.release)
        elif chosen.command == "export-onnx":
            size = chosen.size * 2 if chosen.size and len(chosen.size) == 1 else chosen.size
            said = export_onnx(chosen.source, chosen.output, release=chosen.release, size=size)
            height, width = said["size"]
            print(
                f"{chosen.output}: images [N, bands, {height}, {width}] of {', '.join(said['bands'])}; {', '.join(said['outputs'])}"
            )
        elif chosen.command == "export-hf":
            print(export_huggingface(chosen.release, chosen.specialist, chosen.output))
        else:
            names = export_eosfm(chosen.release, chosen.output)
            print(f"{chosen.output}: {len(names)} encoders: {', '.join(names)}")
    except (ReleaseError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
