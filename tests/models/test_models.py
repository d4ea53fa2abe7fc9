"""The models hold, and the checker finds the loss in each mutant."""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from tests.models import checker
from tests.models.checker import HERE, MODELS, check
from tests.needs import SPIN, TIME, needs


class Sources(SynchronousTestCase):
    """The files of the models."""

    def test_each_mutant_and_variant_is_in_the_file_of_its_model(self) -> None:
        for model in MODELS:
            text = (HERE / f"{model.name}.pml").read_text()
            for word in {*model.mutants, *model.mutants.values(), *model.variants} - {""}:
                self.assertTrue(re.search(rf"#\s*ifn?def {word}\b", text), f"{model.name}: {word}")

    def test_each_model_is_checked(self) -> None:
        files = {file.stem for file in HERE.glob("*.pml")}
        self.assertEqual(files, {model.name for model in MODELS})


@needs(SPIN, TIME)
class Checks(SynchronousTestCase):
    """The checks of `python -m tests.models`."""

    def assert_right(self, name: str) -> None:
        [model] = [model for model in MODELS if model.name == name]
        results = list(check(model))
        self.assertEqual([str(result) for result in results if not result.is_right], [])
        self.assertEqual(len(results), len(model.variants) + len(model.mutants))

    def test_the_commit_queue(self) -> None:
        self.assert_right("commit")

    def test_spreading_a_directory(self) -> None:
        self.assert_right("spreading")

    def test_handing_over_the_writer(self) -> None:
        self.assert_right("handover")

    def test_the_spool(self) -> None:
        self.assert_right("spool")


@needs(SPIN)
class Depth(SynchronousTestCase):
    """A search that leaves orders out proves nothing."""

    def test_a_search_that_is_not_deep_enough_is_an_error(self) -> None:
        self.patch(checker, "_DEPTH", 10)
        [model] = [model for model in MODELS if model.name == "commit"]
        with self.assertRaisesRegex(RuntimeError, "was not completed"):
            next(check(model))
