"""Recipes: the paper's figures, schedules, and the sizes of batches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rtparse.train.model import PRESETS
from rtparse.train.recipe import RECIPES, Recipe


def test_every_preset_has_a_recipe() -> None:
    assert list(RECIPES) == list(PRESETS)


def test_the_paper_trains_as_the_paper() -> None:
    paper = RECIPES["paper"]
    assert (paper.optimizer, paper.momentum, paper.weight_decay) == ("sgd", 0.9, 5e-4)
    assert (paper.epochs, paper.batch, paper.size_hw, paper.style) == (120, 16, (256, 192), "paper")
    assert (paper.ema, paper.class_balance, paper.hold_out, paper.precision) == (0, 0, 0, "fp32")
    # poly: 0.002 * (1 - step / steps) ** 0.9, without warm-up
    assert paper.rate(0, 1000) == pytest.approx(0.002)
    assert paper.rate(500, 1000) == pytest.approx(0.002 * 0.5**0.9)
    assert 0 < paper.rate(999, 1000) < 1e-5
    assert {paper.batch_size_hw(step) for step in range(10)} == {(256, 192)}


def test_trapezoid_warms_up_holds_and_falls_to_a_fiftieth() -> None:
    recipe = Recipe(lr=1.0, warmup=100)
    assert recipe.rate(0, 1000) == pytest.approx(0.01)
    assert recipe.rate(99, 1000) == recipe.rate(700, 1000) == 1.0
    assert recipe.rate(850, 1000) == pytest.approx(0.5)
    assert recipe.rate(999, 1000) == pytest.approx(0.02)


def test_the_size_of_a_batch_says_nothing_of_its_pictures() -> None:
    recipe = Recipe()
    for picture in range(4):  # rtparse.train.mix draws them from these streams
        low = [step for step in range(2000) if np.random.default_rng((recipe.seed, step, picture)).random() < 0.2]
        wide = [recipe.batch_size_hw(step)[0] < recipe.batch_size_hw(step)[1] for step in low]
        assert 0.35 < np.mean(wide) < 0.55


def test_batches_come_upright_and_wide_at_one_cost() -> None:
    recipe = Recipe()
    sizes = {recipe.batch_size_hw(step) for step in range(100)}
    assert (256, 192) in sizes
    assert any(width > height for height, width in sizes)
    assert all(height % 16 == 0 and width % 16 == 0 for height, width in sizes)
    assert all(0.85 < height * width / (256 * 192) < 1.15 for height, width in sizes)


def test_sizes_are_a_function_of_seed_and_step() -> None:
    first, second = ([replace(Recipe(), seed=seed).batch_size_hw(step) for step in range(20)] for seed in (0, 1))
    assert first == [Recipe().batch_size_hw(step) for step in range(20)]
    assert first != second


@pytest.mark.parametrize(
    ("recipe", "size_hw"),
    [
        (Recipe(), (256, 192)),
        (Recipe(pixels=36864), (224, 160)),
        (Recipe(size_hw=(384, 288)), (384, 288)),
    ],
)
def test_the_model_file_names_the_size_of_an_upright_photo(recipe: Recipe, size_hw: tuple[int, int]) -> None:
    assert recipe.upright_hw() == size_hw
