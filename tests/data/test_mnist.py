"""Finding, fetching and refusing data files, with a real server on 127.0.0.1."""

import gzip
import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from contracts.dataset import DatasetContract
from data.test_idx import idx_bytes
from paretune.data import digits
from paretune.data import load as load_config
from paretune.data.images import Splitting
from paretune.data.mnist import load_idx
from paretune.errors import DataError

NAMES = ("train-images.gz", "train-labels.gz", "test-images.gz", "test-labels.gz")
SPLITTING = Splitting(val_size=4)


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves a folder without a line on stderr for each request."""

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twenty training and six test images of 5x5, as a mirror has them."""
    served = tmp_path / "served"
    served.mkdir()
    rng = np.random.default_rng(0)
    for name, count in zip(NAMES, (20, 20, 6, 6), strict=True):
        shape = (count, 5, 5) if "images" in name else (count,)
        array = rng.integers(0, 255 if "images" in name else 10, shape).astype(np.uint8)
        (served / name).write_bytes(gzip.compress(idx_bytes(array)))
    return served


@pytest.fixture
def mirror(folder: Path) -> Iterator[str]:
    """The address of a server of those files."""
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(QuietHandler, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def hashes(folder: Path) -> dict[str, str]:
    return {
        name: f"sha256:{hashlib.sha256((folder / name).read_bytes()).hexdigest()}"
        for name in NAMES
    }


def load(root: Path, folder: Path, *mirrors: str):
    return load_idx(
        name="tiny",
        root=str(root),
        files=hashes(folder),
        mirrors=mirrors,
        splitting=SPLITTING,
    )


class TestIdx(DatasetContract):
    @pytest.fixture
    def make(self, tmp_path, folder):
        return lambda splitting: load_idx(
            name="served",
            root=str(tmp_path),
            files=hashes(folder),
            mirrors=[],
            splitting=splitting,
        )


class TestDigits(DatasetContract):
    @pytest.fixture
    def make(self):
        return lambda splitting: digits.load(splitting=splitting)


def test_missing_files_are_fetched_and_then_found(tmp_path, folder, mirror):
    fetched = load(tmp_path, folder, mirror)
    fetched.load_test()
    reloaded = load(tmp_path, folder)  # no mirror: only the files on disk can serve

    assert fetched.train.pixels.shape == (16, 1, 5, 5)
    assert torch.equal(reloaded.load_test().pixels, fetched.load_test().pixels)


def test_the_second_mirror_serves_where_the_first_does_not(tmp_path, folder, mirror):
    data = load(tmp_path, folder, "http://127.0.0.1:9", mirror)

    assert len(data.load_test()) == 6


def test_a_wrong_download_never_gets_its_name(tmp_path, folder, mirror):
    expected = hashes(folder)
    (folder / NAMES[0]).write_bytes(b"something else")

    with pytest.raises(
        DataError, match=r"no mirror gave it \(http://127.0.0.1:\d+: .*hash"
    ):
        load_idx(
            name="tiny",
            root=str(tmp_path),
            files=expected,
            mirrors=[mirror],
            splitting=SPLITTING,
        )
    assert not (tmp_path / "tiny" / NAMES[0]).exists()


def test_without_files_and_network_the_error_names_folder_file_and_digits(
    tmp_path, folder
):
    message = (
        r"data file `.*tiny/train-images.gz` is missing .* put it in the folder "
        r"`.*tiny`, .* PARETUNE_DATA .* data=digits"
    )
    with pytest.raises(DataError, match=message):
        load(tmp_path, folder, "http://127.0.0.1:9")
    assert not (tmp_path / "tiny").exists()  # nor is a folder left behind


def test_files_that_are_others_are_refused_together_and_kept(tmp_path, folder):
    mine = tmp_path / "tiny"
    mine.mkdir()
    (mine / NAMES[0]).write_bytes(b"mine")
    (mine / NAMES[1]).write_bytes(b"mine, too")
    message = (
        r"`.*train-images.gz` \(expected sha256 \w{64}, got \w{64}\), "
        r"`.*train-labels.gz` .*: damaged, or not of `tiny`; nothing was changed"
    )
    with pytest.raises(DataError, match=message) as refused:
        load(tmp_path, folder)

    assert (mine / NAMES[0]).read_bytes() == b"mine"
    assert "delete" not in str(refused.value)


WRAPPINGS = {
    "unpacked": (lambda content: content, ""),
    "fast gzip": (lambda content: gzip.compress(content, 1), ".gz"),
    "best gzip of another day": (
        lambda content: gzip.compress(content, 9, mtime=1),
        ".gz",
    ),
    "gzip in two members": (
        lambda content: gzip.compress(content[:9]) + gzip.compress(content[9:]),
        ".gz",
    ),
    "unpacked, under the name of the packed": (lambda content: content, ".gz"),
}


def content_hashes(folder: Path) -> dict[str, str]:
    contents = {name: gzip.decompress((folder / name).read_bytes()) for name in NAMES}
    return {
        name: f"content-sha256:{hashlib.sha256(content).hexdigest()}"
        for name, content in contents.items()
    }


def load_content(root: Path, folder: Path, *mirrors: str, name: str = "tiny"):
    return load_idx(
        name=name,
        root=str(root),
        files=content_hashes(folder),
        mirrors=mirrors,
        splitting=SPLITTING,
    )


def wrap(folder: Path, place: Path, wrapping: str) -> None:
    """Put the files of ``folder`` into ``place`` in another wrapping."""
    pack, suffix = WRAPPINGS[wrapping]
    place.mkdir(parents=True)
    for name in NAMES:
        content = gzip.decompress((folder / name).read_bytes())
        (place / (name.removesuffix(".gz") + suffix)).write_bytes(pack(content))


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_the_same_content_serves_in_any_wrapping(tmp_path, folder, wrapping):
    wrap(folder, tmp_path / "tiny", wrapping)

    assert len(load_content(tmp_path, folder).load_test()) == 6


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_a_mirror_may_have_any_wrapping(tmp_path, folder, mirror, wrapping):
    expected = load_content(folder.parent, folder, name="served")
    contents = content_hashes(folder)
    pack, _ = WRAPPINGS[wrapping]
    for name in NAMES:
        (folder / name).write_bytes(pack(gzip.decompress((folder / name).read_bytes())))
    fetched = load_idx(
        name="tiny",
        root=str(tmp_path),
        files=contents,
        mirrors=[mirror],
        splitting=SPLITTING,
    )

    assert torch.equal(fetched.train.pixels, expected.train.pixels)


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_another_content_is_refused_in_any_wrapping(tmp_path, folder, wrapping):
    wrap(folder, tmp_path / "tiny", wrapping)
    (folder / NAMES[0]).write_bytes(gzip.compress(b"another"))

    with pytest.raises(
        DataError,
        match=r"train-images.*expected sha256 of the content \w{64}, got \w{64}",
    ):
        load_content(tmp_path, folder)


def test_a_cut_gzip_file_is_called_damaged(tmp_path, folder):
    wrap(folder, tmp_path / "tiny", "fast gzip")
    path = tmp_path / "tiny" / NAMES[0]
    path.write_bytes(path.read_bytes()[:-9])

    with pytest.raises(
        DataError, match=r"got a damaged gzip file \(.*\)\): damaged, or not of `tiny`"
    ):
        load_content(tmp_path, folder)


@pytest.mark.parametrize("spelling", ["my_set", "my-set"])
def test_the_systems_data_sets_serve_and_are_not_copied(
    tmp_path, folder, monkeypatch, spelling
):
    monkeypatch.setenv("XDG_DATA_DIRS", f"{tmp_path / 'nowhere'}:{tmp_path / 'share'}")
    wrap(folder, tmp_path / "share/datasets" / spelling, "fast gzip")

    assert len(load_content(tmp_path / "data", folder, name="my_set").load_test()) == 6
    assert not (tmp_path / "data").exists()


def test_unpacked_files_serve_where_only_the_hash_of_the_packed_is_known(
    tmp_path, folder
):
    wrap(folder, tmp_path / "tiny", "unpacked")

    assert len(load(tmp_path, folder).load_test()) == 6


def test_images_and_labels_that_do_not_match_are_refused(tmp_path, folder):
    (folder / NAMES[1]).write_bytes((folder / NAMES[3]).read_bytes())

    with pytest.raises(
        DataError,
        match=(
            r"do not belong together; expected images \(N, H, W\) and labels \(N,\), "
            r"got"
        ),
    ):
        load_idx(
            name="served",
            root=str(tmp_path),
            files=hashes(folder),
            mirrors=[],
            splitting=SPLITTING,
        )


def served(tmp_path: Path, folder: Path):
    return load_idx(
        name="served",
        root=str(tmp_path),
        files=hashes(folder),
        mirrors=[],
        splitting=SPLITTING,
    )


@pytest.mark.parametrize(("part", "count"), [("train", 20), ("test", 6)])
def test_labels_beyond_the_classes_are_refused(tmp_path, folder, part, count):
    (folder / f"{part}-labels.gz").write_bytes(
        gzip.compress(idx_bytes(np.full(count, 10, np.uint8)))
    )

    with pytest.raises(
        DataError,
        match=(
            r"has the label 10; expected 0 to 9; check that it is the right file, or "
            r"set"
        ),
    ):
        served(tmp_path, folder).load_test()


def test_a_worker_reads_and_measures_the_images_once(tmp_path, folder):
    assert served(tmp_path, folder) is served(tmp_path, folder)


def test_the_test_images_are_not_read_before_somebody_asks(tmp_path, folder):
    files = hashes(folder)
    (folder / NAMES[2]).unlink()
    data = load_idx(
        name="served", root=str(tmp_path), files=files, mirrors=[], splitting=SPLITTING
    )

    assert len(data.train) == 16
    with pytest.raises(DataError, match="is missing"):
        data.load_test()


def test_digits_need_no_file_and_keep_their_test_images_apart():
    data = digits.load(splitting=Splitting(val_size=360, how="stratified"))

    assert (len(data.train), len(data.val), len(data.load_test())) == (1077, 360, 360)
    assert data.train.pixels.shape[1:] == (1, 28, 28)
    assert data.train.pixels.dtype == torch.uint8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "mean", "std"),
    [("mnist", 0.1307, 0.3081), ("fashion_mnist", 0.2860, 0.3530)],
)
def test_known_data_has_the_published_mean_and_deviation(
    composed, known_data, name, mean, std
):
    """https://github.com/pytorch/examples has them for both."""
    config = composed(
        f"data={name}", f"data.root={known_data(name)}", "data.splitting.val_size=0"
    ).data
    data = load_config(OmegaConf.to_container(config, resolve=True))

    assert (len(data.train), len(data.load_test())) == (60_000, 10_000)
    assert (data.mean / 255, data.std / 255) == pytest.approx((mean, std), abs=1e-4)
