"""Batched augmentation: windows of the image, torchvision's operations, what is cut out, and what is mixed."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torchvision.transforms.v2 import RandAugment, TrivialAugmentWide, functional

from scaling.data.batches import auto_augment
from scaling.data.batches.augment import Augment, flip_crop, resized_crop
from scaling.data.batches.cut_and_mix import beta, cutout, erase, mix


def _images(count: int, channels: int = 3, size: int = 8) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, channels, size, size), dtype=torch.uint8, generator=generator)


def _smooth(count: int, channels: int = 3, size: int = 24) -> torch.Tensor:
    """Images that change slowly, so that a pixel read beside its place shows little."""
    coarse = torch.rand(count, channels, 4, 4, generator=torch.Generator().manual_seed(1))
    return (F.interpolate(coarse, size=size, mode="bicubic").clamp(0, 1) * 255).round().to(torch.uint8)


def _uniform(rows: int, count: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(rows, count, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("flip", [True, False])
def test_each_output_is_a_window_of_the_padded_image_or_its_mirror(flip: bool) -> None:
    images = _images(24)
    out = flip_crop(images, _uniform(3, 24), padding=2, flip=flip)
    padded = F.pad(images.float(), (2, 2, 2, 2), mode="reflect").to(torch.uint8)
    kinds = set()
    for i in range(24):
        windows = {
            (top, left, mirrored): (window.flip(-1) if mirrored else window)
            for top in range(5)
            for left in range(5)
            for window in [padded[i, :, top : top + 8, left : left + 8]]
            for mirrored in (False, True)
        }
        found = [place for place, window in windows.items() if torch.equal(window, out[i])]
        assert found
        kinds.add(found[0])
    assert len(kinds) > 10
    assert {mirrored for *_, mirrored in kinds} == ({False, True} if flip else {False})


def test_nothing_changes_nothing() -> None:
    images, labels = torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.tensor([0, 1])
    assert Augment().draws == 3
    out, targets = Augment()(images, labels, torch.rand(3, 2))
    assert out is images
    assert targets is labels


def test_flip_alone_keeps_every_column() -> None:
    images = _images(50)
    out, _ = Augment(window="flip")(images, torch.zeros(50), _uniform(3, 50))
    same = (out == images).flatten(1).all(1)
    assert torch.equal(out[~same], images.flip(-1)[~same])
    assert 10 < same.sum() < 40


def test_a_resized_crop_is_torchvisions() -> None:
    """Its window found from the same numbers by hand; bilinear, within rounding."""
    images, uniform = _images(40, size=16), _uniform(5, 40)
    out = resized_crop(images, uniform, least=0.2)
    for i in range(40):
        top, left, flip, area, ratio = uniform[:, i].tolist()
        area, ratio = 0.2 + 0.8 * area, np.exp(np.log(3 / 4) + ratio * np.log(16 / 9))
        height = int(np.clip(round(16 * np.sqrt(area / ratio)), 1, 16))
        width = int(np.clip(round(16 * np.sqrt(area * ratio)), 1, 16))
        box = (int(top * (17 - height)), int(left * (17 - width)), height, width)
        expected = functional.resized_crop(images[i], *box, size=[16, 16], antialias=True)
        expected = expected if flip < 0.5 else expected.flip(-1)
        assert (out[i].int() - expected.int()).abs().max() <= 1


OPERATIONS = list(auto_augment.operations())


def _by_torchvision(kind: str, image: torch.Tensor, name: str, step: int, sign: float) -> torch.Tensor:
    space = (TrivialAugmentWide if kind == "trivial" else RandAugment)._AUGMENTATION_SPACE[name]
    magnitudes = space[0](31, *image.shape[-2:])
    magnitude = 0.0 if magnitudes is None else float(magnitudes[step]) * (sign if space[1] else 1)
    apply = TrivialAugmentWide()._apply_image_or_video_transform
    return apply(image, name, magnitude, interpolation="nearest", fill={torch.Tensor: None})


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["trivial", "rand"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_is_torchvisions(name: str, kind: str, channels: int) -> None:
    """At all strengths and both signs. Values within one of 255; a turned pixel may come from its neighbour, which
    rounding decides: rarely."""
    images = _smooth(62, channels)
    number = torch.full((62,), OPERATIONS.index(name))
    steps, signs = torch.arange(62) // 2, torch.tensor([1.0, -1.0]).repeat(31)
    table, signed = auto_augment.strengths(kind, 24)
    strength = table[number, steps] * (signs if signed[number[0]] else 1)
    out = auto_augment.apply_operations(images, number, strength)
    expected = torch.stack([_by_torchvision(kind, images[i], name, int(steps[i]), float(signs[i])) for i in range(62)])
    differs = (out.int() - expected.int()).abs() > 1
    assert differs.float().mean() < (0.01 if name == "Rotate" or name.startswith("Shear") else 1e-9)
    if channels == 3 and name != "Identity":
        assert not torch.equal(out[40], images[40])  # at two thirds of its strength every operation does something


def test_other_devices_apply_every_operation_to_all_and_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    """The way that waits for no device, forced on the CPU, gives what the way by rows gives."""
    images, operation = _smooth(28), torch.arange(28) % 14
    strength = auto_augment.strengths("trivial", 24)[0][operation, 20]
    by_rows = auto_augment.apply_operations(images, operation, strength)
    monkeypatch.setattr(auto_augment, "ROWS_ARE_KNOWN_ON", ())
    assert torch.equal(auto_augment.apply_operations(images, operation, strength), by_rows)


def test_auto_augment_draws_all_operations_and_all_strengths_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(auto_augment, "apply_operations", lambda x, op, s: seen.extend([op, s]) or x)
    auto_augment.auto_augment(_images(6000), _uniform(3, 6000), kind="trivial")
    operation, strength = seen
    assert stats.chisquare(np.bincount(operation, minlength=14)).pvalue > 1e-3
    turns = strength[operation == OPERATIONS.index("Rotate")] / 4.5  # 135 degrees in 30 steps
    assert stats.chisquare(np.bincount(turns.abs().round().int(), minlength=31)).pvalue > 1e-3
    assert 0.4 < (turns < 0).sum() / (turns != 0).sum() < 0.6
    auto_augment.auto_augment(_images(100), _uniform(3, 100), kind="rand", magnitude=9)
    assert set(seen[3][seen[2] == OPERATIONS.index("Rotate")].abs().tolist()) == {9.0}


def test_random_erasing_takes_its_share_of_images_and_area() -> None:
    images = torch.full((4000, 1, 32, 32), 7, dtype=torch.uint8)
    gone = (erase(images, _uniform(5, 4000), share=0.25, fill=torch.full((1, 1, 1, 1), 99.0)) == 99).float()
    area = gone.mean((1, 2, 3))
    assert (area > 0).float().mean() == pytest.approx(0.25, abs=0.03)
    assert area[area > 0].mean() == pytest.approx((0.02 + 0.33) / 2, abs=0.015)
    one = gone[area > 0][0, 0]
    assert one.sum() == one.amax(0).sum() * one.amax(1).sum()  # one rectangle


def test_cutout_is_a_square_cut_at_the_edge() -> None:
    images = torch.full((2000, 3, 32, 32), 7, dtype=torch.uint8)
    fill = torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1)
    out = cutout(images, _uniform(2, 2000), side=0.5, fill=fill)
    gone = out[:, 0] == 1
    assert torch.equal(out[:, 2] == 3, gone)
    assert gone.flatten(1).sum(1).max() == 16 * 16
    # The centre is uniform over 32 pixels, the square reaches from 8 before it to 7 behind it.
    expected = np.mean([min(32, c + 8) - max(0, c - 8) for c in range(32)]) ** 2
    assert gone.flatten(1).sum(1).float().mean() == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("alpha", [0.2, 0.8, 1.0, 4.0])
def test_shares_follow_the_beta_distribution(alpha: float) -> None:
    draws = beta(_uniform(1, 20_000)[0], alpha).numpy()
    at = np.linspace(0.001, 0.999, 500)  # closer to 1 than float32 can come lies some of the mass of alpha = .2
    below = (draws[:, None] <= at).mean(0)
    assert np.abs(below - stats.beta(alpha, alpha).cdf(at)).max() < 0.015


def test_mixup_takes_shares_of_two_images_and_their_labels() -> None:
    images, labels, uniform = _images(64), torch.arange(64) % 5, _uniform(4, 64)
    out, targets = mix(images, labels, uniform, mixup=0.8, cutmix=0.0, classes=5)
    share = torch.from_numpy(stats.beta(0.8, 0.8).ppf(uniform[1])).float()
    i = 17
    expected = share[i] * images[i].float() + (1 - share[i]) * images[i - 1].float()
    assert torch.allclose(out[i], expected, atol=0.3)
    assert targets[i, labels[i]] == pytest.approx(share[i].item(), abs=1e-3)
    assert targets[i, labels[i - 1]] == pytest.approx(1 - share[i].item(), abs=1e-3)
    assert torch.allclose(targets.sum(1), torch.ones(64), atol=1e-6)


def test_cutmix_pastes_a_box_and_counts_its_pixels() -> None:
    images, labels = torch.zeros(200, 1, 16, 16, dtype=torch.uint8), torch.arange(200) % 2
    images[labels == 1] = 255
    out, targets = mix(images, labels, _uniform(4, 200), mixup=0.0, cutmix=1.0, classes=2)
    assert set(out.unique().tolist()) == {0.0, 255.0}
    assert torch.allclose((out == 255).float().mean((1, 2, 3)), targets[:, 1], atol=1e-6)
    assert 0.2 < targets[labels == 0, 1].mean() < 0.45  # boxes at the edge are cut: below a half
    both, _ = mix(images, labels, _uniform(4, 200), mixup=1.0, cutmix=1.0, classes=2)
    blended = ((both > 0) & (both < 255)).flatten(1).any(1)
    assert 0.35 < blended.float().mean() < 0.65


ALL = dict(window="resized_crop", auto="rand", erase=0.5, cutout=0.3, mixup=0.2, cutmix=1.0, num_classes=4,
           fill=torch.full((1, 3, 1, 1), 0.5))  # fmt: skip


def test_everything_at_once_uses_each_number_once() -> None:
    policy = Augment(**ALL)
    assert policy.draws == 5 + 2 * 3 + 5 + 2 + 4
    images, targets = policy(_smooth(32), torch.arange(32) % 4, _uniform(policy.draws, 32))
    assert images.shape == (32, 3, 24, 24)
    assert targets.shape == (32, 4)
    assert images.min() >= 0
    assert images.max() <= 255


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_sees_what_the_cpu_sees() -> None:
    policy, uniform = Augment(**ALL), _uniform(22, 64)
    there = Augment(**ALL | {"fill": ALL["fill"].cuda()})
    one = policy(_smooth(64), torch.arange(64) % 4, uniform)
    other = there(_smooth(64).cuda(), (torch.arange(64) % 4).cuda(), uniform.cuda())
    assert ((one[0] - other[0].cpu()).abs() > 1).float().mean() < 0.01
    assert torch.allclose(one[1], other[1].cpu(), atol=1e-5)
