"""Decoding, random changes and batches of images."""

import io

import numpy as np
import pytest
import tiny_images
import torch
from datasets import Dataset
from PIL import Image
from transformers import ViTImageProcessor

from dylora.data.images import Augmentation, EpochSampler, ImageCollator, ImageRows, decode
from dylora.data.sources.image_files import undecoded
from dylora.errors import InputError


def _image(width=6, height=4):
    return Image.fromarray(np.arange(1, width * height * 3 + 1, dtype=np.uint8).reshape(height, width, 3))


def _every_change(image, padding, flip):
    """All images that the changes may give: mirrored or not, cut out of a black frame at every place."""
    pixels = np.asarray(image)
    down, right = round(padding * image.height), round(padding * image.width)
    found = {}
    for mirrored in (False, True) if flip else (False,):
        turned = pixels[:, ::-1] if mirrored else pixels
        framed = np.zeros((image.height + 2 * down, image.width + 2 * right, 3), np.uint8)
        framed[down : down + image.height, right : right + image.width] = turned
        for y in range(2 * down + 1):
            for x in range(2 * right + 1):
                found[framed[y : y + image.height, x : x + image.width].tobytes()] = (mirrored, x, y)
    return found


def test_changes_are_mirroring_and_every_cut_out_of_a_black_frame():
    image = _image()
    expected = _every_change(image, 0.3, flip=True)
    assert len(expected) == 2 * 5 * 3  # 2 pixels to the sides, 1 up and down
    seen = {expected[np.asarray(Augmentation(3, True, 0.3)(image, 0, row)).tobytes()] for row in range(400)}
    assert seen == set(expected.values())


def test_without_changes_the_image_stays():
    image = _image()
    assert all(Augmentation(0, False, 0.0)(image, 0, row).tobytes() == image.tobytes() for row in range(20))


def test_half_are_mirrored():
    image = _image()
    mirrored = sum(Augmentation(0, True, 0.0)(image, 0, row).tobytes() != image.tobytes() for row in range(1000))
    assert 450 < mirrored < 550


def test_changes_are_a_function_of_seed_epoch_and_row():
    image = _image()

    def draw(seed, epoch, row):
        return Augmentation(seed, True, 0.3)(image, epoch, row).tobytes()

    keys = [(seed, epoch, row) for seed in (0, 1) for epoch in (0, 1) for row in range(50)]
    first = [draw(*key) for key in keys]
    assert [draw(*key) for key in reversed(keys)] == first[::-1]
    for start in (50, 100, 150):
        assert first[start : start + 50] != first[:50]


def test_all_processes_together_see_each_row_once_an_epoch_with_its_epoch():
    samplers = [EpochSampler(8, batch_size=2, num_replicas=2, rank=rank, seed=1) for rank in (0, 1)]
    orders = []
    for epoch in (0, 5):
        for sampler in samplers:
            sampler.set_epoch(epoch)
        keys = [key for sampler in samplers for key in sampler]
        assert {number for number, _ in keys} == {epoch}
        assert sorted(row for _, row in keys) == list(range(8))
        orders.append([row for _, row in keys])
    assert orders[0] != orders[1]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_every_kind_of_image_becomes_rgb(mode):
    stream = io.BytesIO()
    Image.new(mode, (3, 2)).save(stream, "TIFF" if mode == "CMYK" else "PNG")
    image = decode({"bytes": stream.getvalue(), "path": None}, "row 0")
    assert (image.mode, image.size) == ("RGB", (3, 2))


def test_a_photograph_is_turned_upright():
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    _image(6, 4).save(stream, "PNG", exif=exif)
    assert decode({"bytes": stream.getvalue(), "path": None}, "row 0").size == (4, 6)


def test_what_cannot_be_decoded_is_told_by_its_path_or_its_row(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    stream = io.BytesIO()
    _image(60, 40).save(stream, "PNG")
    half = stream.getvalue()[:200]
    for cell, name in [
        ({"path": str(tmp_path / "a.png"), "bytes": None}, str(tmp_path / "a.png")),
        ({"path": "lost.png", "bytes": None}, "lost.png"),
        ({"path": "inner.png", "bytes": half}, "row 7 of file"),
        ({"path": None, "bytes": None}, "row 7 of file"),
        (None, "row 7 of file"),
    ]:
        with pytest.raises(InputError, match=rf"^data: must be images that can be decoded, got {name} \(.*remove it$"):
            decode(cell, "row 7 of file")


@pytest.mark.parametrize("workers", [0, 2])
def test_the_error_of_an_image_arrives_as_it_is_from_workers_too(tmp_path, workers):
    (tmp_path / "a.png").write_bytes(b"no image")
    rows = ImageRows("folder", undecoded([str(tmp_path / "a.png")]), [0])
    collate = ImageCollator(ViTImageProcessor(size={"height": 8, "width": 8}))
    loader = torch.utils.data.DataLoader(rows, num_workers=workers, collate_fn=collate)
    if workers:
        (batch,) = loader
        assert isinstance(batch, InputError)
        assert str(tmp_path / "a.png") in str(batch)
    else:
        with pytest.raises(InputError, match=r"a\.png"):
            next(iter(loader))


def test_a_batch_is_what_the_processor_makes_of_the_images():
    images = [_image(6, 4), _image(9, 9)]
    collate = ImageCollator(ViTImageProcessor(size={"height": 8, "width": 8}))
    batch = collate([{"image": image, "index": 5 + i, "labels": i} for i, image in enumerate(images)])
    assert list(batch) == ["pixel_values", "index", "labels"]
    for row, image in zip(batch["pixel_values"], images, strict=True):
        resized = np.asarray(image.resize((8, 8), Image.Resampling.BILINEAR), np.float32)
        expected = torch.tensor((resized / 255 - 0.5) / 0.5).permute(2, 0, 1)
        assert torch.allclose(row, expected, atol=1e-6)
    assert batch["index"].tolist() == [5, 6]
    assert batch["labels"].tolist() == [0, 1]
    assert "labels" not in collate([{"image": images[0], "index": 0}])


def test_images_of_several_sizes_are_refused_where_the_processor_leaves_them():
    collate = ImageCollator(ViTImageProcessor(do_resize=False))
    with pytest.raises(InputError, match=r"^data: must be images of one size for .*, got 6x4, 9x9; resize the images"):
        collate([{"image": _image(6, 4), "index": 0}, {"image": _image(9, 9), "index": 1}])


def test_only_rows_asked_for_with_an_epoch_are_changed(tmp_path):
    tiny_images.write_folders(tmp_path / "all", 1)
    paths = sorted(map(str, (tmp_path / "all").glob("*/*.png")))
    rows: Dataset = undecoded(paths)
    changed = ImageRows("all", rows, [0, 1, 2], Augmentation(0, True, 0.5))
    for row, path in enumerate(paths):
        plain = changed[row]
        assert plain["image"].tobytes() == Image.open(path).tobytes()
        assert (plain["index"], plain["labels"]) == (row, row)
    assert any(changed[(1, row)]["image"].tobytes() != changed[row]["image"].tobytes() for row in range(3))
