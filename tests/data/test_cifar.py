import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from contracts.dataset import DatasetContract
from paretune.data import fit_to_data
from paretune.data.cifar import load
from paretune.data.images import Splitting
from paretune.errors import DataError

NAMES = ("airplane", "bird", "ship")
SPLITTING = Splitting(val_size=6, how="stratified", seed=0)


def records(count: int, seed: int, classes: int = 3) -> bytes:
    """``count`` images of CIFAR's binary form, each shade twice its label."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 256, (count, 1 + 3 * 32 * 32)).astype(np.uint8)
    rows[:, 0] = np.arange(count) % classes
    return rows.tobytes()


def archive(root: Path, **members: bytes) -> dict[str, str]:
    """An archive of these members in ``root/cifar``; its name and hash."""
    path = root / "cifar/cifar-10-binary.tar.gz"
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return {path.name: f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"}


def loaded(root: Path, splitting: Splitting = SPLITTING, **members: bytes):
    files = archive(root, **members)
    return load(
        name="cifar",
        root=str(root),
        files=files,
        mirrors=[],
        splitting=splitting,
        class_names=NAMES,
    )


class TestCifar(DatasetContract):
    @pytest.fixture
    def make(self, tmp_path):
        files = archive(
            tmp_path,
            data_batch_1=records(30, 1),
            data_batch_2=records(30, 2),
            test_batch=records(12, 3),
        )
        return lambda splitting: load(
            name="cifar",
            root=str(tmp_path),
            files=files,
            mirrors=[],
            splitting=splitting,
            class_names=NAMES,
        )


def test_a_model_is_counted_before_the_archive_is_there(composed):
    config = composed("data=cifar10", "data.root=/nowhere")
    data = OmegaConf.to_container(config.data, resolve=True)

    assert fit_to_data({"image_shape": None, "num_classes": None}, data) == {
        "image_shape": [3, 32, 32],
        "num_classes": 10,
    }


def test_channels_come_first_and_files_in_order(tmp_path):
    first, second = records(9, 1), records(9, 2)
    data = loaded(
        tmp_path,
        Splitting(val_size=6),
        data_batch_2=second,
        data_batch_1=first,
        test_batch=records(3, 3),
    )

    assert data.train.pixels[0].numpy().tobytes() == first[1:3073]
    assert data.val.pixels[-1].numpy().tobytes() == second[-3072:]
    assert data.class_names == NAMES


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (
            {"data_batch_1": b"x" * 3000},
            r"has 3,000 bytes in `data_batch_\*`; expected images of 3,073 bytes each",
        ),
        (
            {"readme": b"x"},
            r"has 0 bytes in `data_batch_\*`; expected images of 3,073 bytes each",
        ),
        (
            {"data_batch_1": records(9, 1, classes=5)},
            r"has the label 4; expected 0 to 2; check data.class_names",
        ),
    ],
)
def test_an_archive_of_another_kind_is_one_line(tmp_path, members, message):
    with pytest.raises(DataError, match=message):
        loaded(tmp_path, **members)


def test_a_damaged_archive_is_one_line(tmp_path):
    path = tmp_path / "cifar/cifar-10-binary.tar.gz"
    path.parent.mkdir()
    path.write_bytes(b"no archive")
    files = {path.name: f"sha256:{hashlib.sha256(b'no archive').hexdigest()}"}
    with pytest.raises(
        DataError,
        match=(
            r"cannot be read \(.*\); expected the archive of CIFAR's binary version; "
            r"nothing was changed"
        ),
    ):
        load(
            name="cifar",
            root=str(tmp_path),
            files=files,
            mirrors=[],
            splitting=SPLITTING,
            class_names=NAMES,
        )
