"""Pictures of any size and colour become what the model was trained on."""

import gzip
import os

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from paretune import paths
from paretune.commands import predict
from paretune.data.pictures import scale_picture
from paretune.deploy.onnx import write_onnx
from paretune.deploy.picture import Placing, place, read_pictures
from paretune.deploy.runtime import Runtime
from paretune.errors import DataError

DIGITS = Placing((1, 28, 28), "ink", 0.7)
OWN = Placing((3, 20, 30), "stretch")


def stroke(height: int, width: int, *, white: bool = True) -> Image.Image:
    """A white bar on black, off the middle, or a black one on white."""
    picture = np.zeros((height, width), np.uint8)
    picture[height // 8 : height // 2, width // 8 : width // 4] = 255
    return Image.fromarray(picture if white else 255 - picture)


def floats(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture, np.float32)[np.newaxis] / np.float32(255)


def test_a_picture_of_the_right_size_stays_as_it_is():
    picture = stroke(28, 28)
    one = place("a", picture, DIGITS)

    assert (one.image == floats(picture)).all()
    assert one.steps == "as it is"


@pytest.mark.parametrize(
    ("resize", "steps"),
    [
        ("stretch", "90x20 scaled to 30x20"),
        ("crop", "90x20 cropped and scaled to 30x20"),
        ("pad", "90x20 scaled and padded to 30x20"),
    ],
)
def test_a_new_picture_is_resized_as_those_of_training(resize, steps):
    picture = stroke(20, 90).convert("RGB")
    one = place("a", picture, Placing((3, 20, 30), resize))
    expected = np.asarray(scale_picture(picture, (20, 30), resize), np.float32) / 255

    assert (one.image == expected.transpose(2, 0, 1)).all()
    assert one.steps == steps


def test_a_model_of_an_earlier_version_stretches(deployable, tmp_path):
    network = deployable("model=conv", "model.image_shape=[1,9,9]")
    write_onnx(network, tmp_path / "model.onnx", {"fits_by": "resize"})

    assert Runtime(tmp_path / "model.onnx").placing.fits_by == "stretch"


def test_an_idx_file_of_labels_is_one_line(tmp_path):
    (tmp_path / "labels").write_bytes(
        b"\0\0\x08\x01" + (3).to_bytes(4, "big") + bytes([1, 2, 3])
    )

    with pytest.raises(
        DataError,
        match=r"picture `.*labels` holds an array \(3,\), not images \(N, H, W\)",
    ):
        list(read_pictures(tmp_path / "labels"))


def test_dark_on_bright_is_inverted_and_says_so():
    one = place("a", stroke(28, 28, white=False), DIGITS)

    assert (one.image == floats(stroke(28, 28))).all()
    assert one.steps == "inverted: its border is bright"


@pytest.mark.parametrize(
    ("invert", "steps"), [(True, "inverted as asked"), (False, "as it is")]
)
def test_inverting_can_be_asked_for_and_forbidden(invert, steps):
    one = place("a", stroke(28, 28, white=False), DIGITS, invert)

    assert one.steps == steps
    assert one.image.mean() == pytest.approx(
        floats(stroke(28, 28, white=invert)).mean()
    )


@given(st.integers(8, 300), st.integers(8, 300), st.floats(0.3, 1.0))
def test_another_size_keeps_the_share_of_the_ink_and_is_centred(height, width, share):
    assume((height, width) != (28, 28))  # stays as it is
    (image,) = place(
        "a", stroke(height, width), Placing((1, 28, 28), "ink", share)
    ).image
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    longer = max(np.ptp(rows), np.ptp(columns)) + 1

    assert image.shape == (28, 28)
    assert longer == round(share * 28)
    assert 0 <= image.min() <= image.max() <= 1
    assert abs(rows.mean() - 13.5) <= 1
    assert abs(columns.mean() - 13.5) <= 1


def test_an_empty_picture_is_an_empty_image():
    assert not place("a", Image.new("L", (60, 50)), DIGITS).image.any()


def test_a_transparent_ground_is_white(tmp_path):
    Image.new("RGBA", (30, 20), (0, 0, 0, 0)).save(tmp_path / "a.png")
    ((name, picture),) = read_pictures(tmp_path / "a.png")

    assert name.endswith("a.png")
    assert picture.size == (30, 20)
    assert (np.asarray(picture) == 255).all()


def test_a_picture_for_a_model_of_ones_own_is_scaled_whole_and_keeps_its_colours():
    one = place("a", Image.new("RGB", (60, 80), (255, 0, 51)), OWN)

    assert one.image.shape == (3, 20, 30)
    assert one.image[:, 5, 5].tolist() == pytest.approx([1, 0, 0.2])
    assert one.steps == "60x80 scaled to 30x20"


def test_a_bright_border_of_such_a_picture_stays_bright():
    assert place("a", Image.new("L", (30, 20), 255), OWN).image.min() == 1


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_an_idx_file_holds_many(tmp_path, suffix):
    content = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2]) + bytes(
        range(0, 160, 20)
    )
    path = tmp_path / f"some{suffix}"
    path.write_bytes(gzip.compress(content) if suffix else content)
    found = list(read_pictures(path))

    assert [name for name, _ in found] == [f"{path}[0]", f"{path}[1]"]
    assert np.asarray(found[1][1]).tolist() == [[80, 100], [120, 140]]


@pytest.mark.parametrize(
    "content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n and then nothing"]
)
def test_what_is_no_picture_is_one_line(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)

    with pytest.raises(
        DataError,
        match=(
            r"picture `.*a.png` cannot be read \(.*\); expected PNG, JPEG, .*, or an "
            r"IDX file"
        ),
    ):
        list(read_pictures(tmp_path / "a.png"))


@given(
    st.integers(8, 80),
    st.integers(8, 80),
    st.floats(0.3, 2.0),
    st.sampled_from([(28, 56), (56, 28)]),
)
def test_ink_fits_into_an_image_that_is_not_square(height, width, share, size):
    assume((height, width) != size)
    (image,) = place(
        "a", stroke(height, width), Placing((1, *size), "ink", share)
    ).image

    assert image.shape == size
    assert image.max() > 0


def test_a_picture_of_floats_is_predicted_by_its_shades(tmp_path):
    shades = np.linspace(0, 1, 28 * 28, dtype=np.float32).reshape(28, 28)
    Image.fromarray(shades).save(tmp_path / "a.tif")
    ((name, picture),) = read_pictures(tmp_path / "a.tif")

    assert (
        np.abs(place(name, picture, DIGITS, False).image - shades).max()
        <= 0.5 / 255 + 1e-6
    )


def test_floats_that_are_no_shades_are_not_predicted(tmp_path):
    Image.fromarray(np.full((28, 28), 300, np.float32)).save(tmp_path / "a.tif")

    with pytest.raises(
        DataError,
        match=r"a.tif` cannot be read \(its floats go from 300 to 300, not from 0 to 1",
    ):
        list(read_pictures(tmp_path / "a.tif"))


def test_a_name_of_any_bytes_becomes_text(tmp_path):
    path = tmp_path / os.fsdecode(b"a\xe9\n.png")
    stroke(28, 28).save(path)
    ((name, _),) = read_pictures(path)

    assert name.endswith("a\\xe9\\n.png")


def test_what_is_no_announced_format_is_not_predicted(tmp_path):
    with (tmp_path / "a.png").open("wb") as file:
        stroke(28, 28).save(file, "EPS")

    with pytest.raises(
        DataError,
        match=r"a.png` cannot be read \(its content is of another format\); expected PNG",
    ):
        list(read_pictures(tmp_path / "a.png"))


def test_every_picture_that_can_be_read_is_answered_and_every_other_one_is_named(
    tmp_path, answered
):
    model = str(
        next(
            (paths.CONF.parent / "sweeps" / "record_kernels" / "models").glob(
                "193.onnx"
            )
        )
    )
    stroke(28, 28).save(tmp_path / "good.png")
    (tmp_path / "empty.png").touch()
    names = [str(tmp_path / name) for name in ("empty.png", "good.png", "nothing.png")]

    answer = answered(predict.cli, model, *names)

    assert answer.code == 2
    assert [line.partition(":")[0] for line in answer.out.splitlines()] == [names[1]]
    assert [
        line.count(name)
        for line, name in zip(
            answer.err.splitlines(), (names[0], names[2]), strict=True
        )
    ] == [
        1,
        1,
    ]
