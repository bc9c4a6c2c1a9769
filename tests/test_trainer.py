"""The training loop: full batches, the schedule, divergence, and evaluation against a plain computation."""

import math

import numpy as np
import pytest
import torch

from scaling.config import OptimConfig
from scaling.data.batches.augment import Augment
from scaling.data.batches.resident import ResidentImages
from scaling.data.splits import Splits
from scaling.training.trainer import (
    CurvePoint,
    Diverged,
    TrainingSettings,
    evaluate,
    index_batches,
    lr_at,
    make_optimizer,
    train,
    uniform_batches,
)

CPU = torch.device("cpu")


def _splits(n: int = 40, pixels: torch.Tensor | None = None) -> Splits:
    """Two classes of 4x4 images, dark and bright."""
    labels = torch.arange(n) % 2
    images = (60 + 120 * labels[:, None, None, None] + torch.arange(16).view(1, 1, 4, 4)).to(torch.uint8)
    one = torch.ones(1, 1, 1, 1)
    data = ResidentImages(images, torch.arange(n), labels)
    return Splits(data, data, data, 0.5 * one, 0.25 * one, pixels)


def test_batches_are_full_and_go_through_every_image_before_any_comes_again() -> None:
    batches = list(index_batches(10, batch_size=4, steps=5, generator=torch.Generator().manual_seed(0), device=CPU))
    stream = torch.cat(batches)
    assert [len(batch) for batch in batches] == [4] * 5
    assert sorted(stream[:10].tolist()) == sorted(stream[10:].tolist()) == list(range(10))


def test_long_streams_go_on_where_the_last_piece_ended() -> None:
    """Epochs of 7 images through batches of 3, over several pieces sent ahead: each epoch still holds every image."""
    steps = 1000
    batches = index_batches(7, batch_size=3, steps=steps, generator=torch.Generator().manual_seed(0), device=CPU)
    stream = torch.cat(list(batches))
    assert len(stream) == 3 * steps
    epochs = stream[: 3 * steps // 7 * 7].view(-1, 7).sort(dim=1).values
    assert torch.equal(epochs, torch.arange(7).expand_as(epochs))
    assert sum(1 for _ in uniform_batches(4, draws=3, steps=steps, generator=torch.Generator(), device=CPU)) == steps


def test_a_batch_larger_than_the_set_repeats_images() -> None:
    (batch,) = index_batches(3, batch_size=7, steps=1, generator=torch.Generator().manual_seed(0), device=CPU)
    assert np.bincount(batch.numpy()).tolist() in ([3, 2, 2], [2, 3, 2], [2, 2, 3])


def test_schedule_warms_up_linearly_and_ends_near_zero() -> None:
    rates = [lr_at(step, steps=100, warmup=0.1, lr=2.0) for step in range(100)]
    assert rates[4] == pytest.approx(2.0 * 5 / 11)
    assert max(rates) == rates[10] == 2.0
    assert rates[55] == pytest.approx(1.0)  # halfway down the cosine
    assert 0 < rates[-1] < 0.002


def test_weight_decay_spares_norms_biases_and_embeddings() -> None:
    from scaling.models.vit import ViT

    model = ViT(image_size=4, channels=1, num_classes=2, patch_size=2, width=8, depth=1, heads=1)
    decayed, rest = make_optimizer(model, OptimConfig(weight_decay=0.3)).param_groups
    names = {id(p): name for name, p in model.named_parameters()}
    assert {names[id(p)].rsplit(".", 1)[-1] for p in decayed["params"]} == {"weight"}
    assert not any("norm" in names[id(p)] for p in decayed["params"])
    assert {"cls_token", "pos_embed", "head.bias", "norm.weight"} <= {names[id(p)] for p in rest["params"]}
    assert (decayed["weight_decay"], rest["weight_decay"]) == (0.3, 0.0)


def _train(model: torch.nn.Module, lr: float, report: list[CurvePoint]) -> None:
    optim = OptimConfig(lr=lr, batch_size=8, grad_clip=0.0)
    settings = TrainingSettings(optim=optim, steps=60, seed=0, precision="fp32", augment=Augment())
    train(model, _splits(), settings, report=report.append)


def test_learns_what_is_easy_and_reports_what_it_saw() -> None:
    torch.manual_seed(0)
    model, points = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2)), []
    _train(model, 0.05, points)
    found = evaluate(model, _splits(), _splits().test, precision="fp32")
    assert found.error == 0.0
    assert found.loss < 0.1
    assert points[-1].step == 60
    assert points[-1].seen_examples == 480
    assert points[-1].train_loss < points[0].train_loss


@pytest.mark.parametrize(("weight", "loss"), [(math.inf, "nan"), (50.0, r"\d{2,}")])
def test_a_loss_that_is_not_finite_or_far_above_guessing_is_diverged(weight: float, loss: str) -> None:
    """A loss of hundreds stops the run at its first point, though it is a number: guessing two classes costs .69."""
    model, points = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2)), []
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[weight], [-weight]]).expand(2, 16))
    with pytest.raises(Diverged, match=f"training loss is {loss}"):
        _train(model, 1e-9, points)
    assert points == []


def test_evaluation_counts_errors_and_averages_the_loss() -> None:
    class Fixed(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.tensor([[2.0, 0.0]]).expand(len(images), -1)

    splits = _splits(n=30)
    found = evaluate(Fixed(), splits, splits.test, precision="fp32")
    assert found.error == found.balanced_error == 0.5
    assert found.wrong.tolist() == (splits.test.labels == 1).tolist()
    assert found.loss == pytest.approx((math.log(1 + math.exp(-2)) + math.log(1 + math.exp(2))) / 2, rel=1e-5)


def test_the_balanced_error_weighs_classes_and_not_images() -> None:
    """Nine dark and three bright images, all taken for dark: a quarter is wrong, and half of the classes."""

    class AlwaysDark(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.tensor([[1.0, 0.0]]).expand(len(images), -1)

    splits = _splits(n=18)
    rows = torch.tensor([*range(0, 18, 2), 1, 3, 5])
    unequal = ResidentImages(splits.test.pool, rows, splits.test.labels[rows])
    found = evaluate(AlwaysDark(), splits, unequal, precision="fp32")
    assert (found.error, found.balanced_error) == (0.25, 0.5)


def test_inputs_are_normalised_then_permuted() -> None:
    order = torch.arange(16).flip(0)
    splits = _splits(n=2, pixels=order)
    expected = (splits.train.pool.float() / 255 - 0.5) / 0.25
    assert torch.equal(splits.inputs(splits.train.pool).flatten(2), expected.flatten(2).flip(2))
