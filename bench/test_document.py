#!/usr/bin/env python3
"""Tests of what measurements write into documents, on small made numbers."""

import contextlib
import importlib.util
import io
import pathlib
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import data_inspect  # noqa: E402
import document  # noqa: E402
import scale  # noqa: E402

# Python has a module of the name `encodings` itself.
SPEC = importlib.util.spec_from_file_location("bench_encodings", HERE / "encodings.py")
encodings = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(encodings)


class Tables(unittest.TestCase):
    def test_the_first_column_is_text_or_numbers(self):
        self.assertEqual(document.table(["a", "b"], [["x", "1"], ["", "2"]]),
                         "| a | b |\n| --- | ---: |\n| x | 1 |\n|  | 2 |")
        self.assertEqual(document.table(["a", "b"], [], first="---:"), "| a | b |\n| ---: | ---: |")

    def test_a_part_of_the_growth_of_a_coordinator(self):
        idle = next(part for part in scale.PARTS if part.name == "idle")
        lines = [{"clients": clients, "processor_share": 0.001, "resident_kib": 1536, "files": 20} for clients in (10, 1000)]
        self.assertEqual(idle.table(lines),
                         "| institutions | processor, % of one | memory, MiB | open files |\n| ---: | ---: | ---: | ---: |\n"
                         "| 10 | 0.1 | 2 | 20 |\n| 1,000 | 0.1 | 2 | 20 |")

    def test_the_time_of_data_inspect(self):
        row = {"files": 1000, "seconds": 0.5, "processor_seconds": 0.59, "memory_mib": 19.4}
        self.assertEqual(data_inspect.found([row]),
                         "| files | time | processor | a file | peak memory |\n| ---: | ---: | ---: | ---: | ---: |\n"
                         "| 1,000 | 0.5 s | 0.6 s | 0.59 ms | 19 MiB |")


class Encodings(unittest.TestCase):
    CASES = [("f32", "f32", None), ("int8", "int8", None), ("top-k, 0.1", "top-k", 0.1)]
    ACCURACY = {"f32-seed-1": 0.5, "int8-seed-1": 0.51, "topk-01-seed-1": 0.5,
                "f32-seed-2": 0.54, "int8-seed-2": 0.52, "topk-01-seed-2": 0.5}
    SENT = {"f32-seed-1": 4000, "int8-seed-1": 1000, "topk-01-seed-1": 500,
            "f32-seed-2": 4000, "int8-seed-2": 1010, "topk-01-seed-2": 500}
    HEAD = ("| encoding | accuracy, median | from, to | to f32 by seed, points | mean, standard error | bytes of an update "
            "| of f32 |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n")

    def test_runs_of_a_seed_are_compared_in_pairs(self):
        made, means = encodings.compare(self.CASES, 2, self.ACCURACY, self.SENT)
        self.assertEqual(made, self.HEAD +
                         "| f32 | 0.520 | 0.500, 0.540 |  |  | 4,000 | 1.000 |\n"
                         "| int8 | 0.515 | 0.510, 0.520 | +1.0, -2.0 | -0.5, 1.5 | 1,005 | 0.251 |\n"
                         "| top-k, 0.1 | 0.500 | 0.500, 0.500 | +0.0, -4.0 | -2.0, 2.0 | 500 | 0.125 |")
        self.assertEqual({label: round(mean, 9) for label, mean in means.items()}, {"int8": -0.5, "top-k, 0.1": -2.0})

    def test_of_one_seed_the_error_is_unknown(self):
        made, _ = encodings.compare(self.CASES[:2], 1, self.ACCURACY, self.SENT)
        self.assertEqual(made, self.HEAD + "| f32 | 0.500 | 0.500, 0.500 |  |  | 4,000 | 1.000 |\n"
                         "| int8 | 0.510 | 0.510, 0.510 | +1.0 | +1.0, unknown | 1,000 | 0.250 |")

    def test_half_a_point_is_a_target(self):
        self.assertEqual(str(encodings.judge({"bf16": 0.22, "int8": -0.5, "top-k, 0.1": -0.51})),
                         "- met: bf16: points of accuracy to f32 on the mean of the seeds: 0.22, at least -0.5 asked\n"
                         "- met: int8: points of accuracy to f32 on the mean of the seeds: -0.50, at least -0.5 asked\n"
                         "- **not met**: top-k, 0.1: points of accuracy to f32 on the mean of the seeds: -0.51, at least -0.5 "
                         "asked")


class Publish(unittest.TestCase):
    def publish(self, found: float) -> None:
        with tempfile.TemporaryDirectory() as folder:
            page = pathlib.Path(folder) / "page.md"
            page.write_text("before\n<!-- made by `make x` -->\nold\n<!-- end of what `make x` makes -->\nafter\n")
            targets = document.Targets()
            targets.at_least("speed", found, 1)
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    document.publish(page, "x", "text", targets)
            finally:
                self.written = page.read_text()

    def test_a_missed_target_is_written_and_fails(self):
        self.publish(2)
        self.assertEqual(self.written, "before\n<!-- made by `make x` -->\n\ntext\n\n- met: speed: 2.00, at least 1 asked\n\n"
                         "<!-- end of what `make x` makes -->\nafter\n")
        with self.assertRaisesRegex(SystemExit, "1 of 1 targets of `make x` are missed"):
            self.publish(0.5)
        self.assertIn("- **not met**: speed: 0.50, at least 1 asked", self.written)

    def test_a_page_without_marks_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            page = pathlib.Path(folder) / "page.md"
            page.write_text("no marks\n")
            with self.assertRaisesRegex(SystemExit, "does not have the two lines"):
                document.replace(page, "x", "text")
            self.assertEqual(page.read_text(), "no marks\n")


if __name__ == "__main__":
    unittest.main()
