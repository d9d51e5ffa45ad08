"""The network's geometry, its export and its training, on toy data."""

import math
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch

from cell.contracts.errors import ModelError
from policies.model_directory import read_model_directory
from policies.runtime.fingers import ROBOTIQ_2F85
from policies.runtime.heightmap_policy import HeightmapPolicy
from policies.runtime.onnx_session import OnnxSession
from policies.training.export import (
    Provenance,
    compute_parity,
    export_network,
    make_manifest,
)
from policies.training.fit import (
    FitMetrics,
    FitPlan,
    fit_network,
    read_finished_epochs,
)
from policies.training.network import GraspNetwork, NetworkShape
from policies.training.patches import (
    MARGIN_PX,
    PATCH_PX,
    compute_logits,
    make_patches,
)
from policies.training.samples import (
    GraspSamples,
    compute_digest,
    concatenate,
    read_samples,
    write_samples,
)
from tests.fakes.grasp_models import make_workspace

SMALL = NetworkShape(angles=4, apertures_m=(0.045, 0.085), widths=(8, 8))
PROVENANCE = Provenance(
    name="toy",
    version="1",
    seed=0,
    data_sha256="0" * 64,
    git_commit=None,
    metrics={},
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def make_network(seed: int = 0) -> GraspNetwork:
    torch.manual_seed(seed)
    return GraspNetwork(SMALL).eval()


def make_samples(scenes: int = 12, each: int = 12, seed: int = 0) -> GraspSamples:
    """Bars of random yaw: closing across them succeeds, along them fails."""
    rng = np.random.default_rng(seed)
    middle = (SMALL.size_px - 1) / 2
    v, u = np.mgrid[: SMALL.size_px, : SMALL.size_px] - middle
    heights, rows = [], []
    for scene in range(scenes):
        k = int(rng.integers(SMALL.angles))
        turn = k * math.pi / SMALL.angles
        across = u * math.cos(turn) + v * math.sin(turn)
        along = v * math.cos(turn) - u * math.sin(turn)
        bar = (np.abs(across) < 4) & (np.abs(along) < 14)
        heights.append(np.where(bar, 0.04, 0.0).astype(np.float32))
        for _ in range(each):
            angle = int(rng.integers(SMALL.angles))
            row, col = (round(middle + x) for x in rng.uniform(-2, 2, 2))
            rows.append((scene, angle, int(rng.integers(2)), row, col, angle == k))
    table = np.array(rows, dtype=np.float64)
    whole = table[:, :5].astype(np.int32)
    return GraspSamples(
        heights_m=np.array(heights),
        scene=whole[:, 0],
        angle=whole[:, 1],
        aperture=whole[:, 2],
        row=whole[:, 3],
        col=whole[:, 4],
        success=table[:, 5].astype(np.float32),
        score=np.full(len(table), np.nan, np.float32),
    )


def test_a_rotated_map_shows_each_place_where_the_policy_looks_for_it() -> None:
    network = make_network()
    workspace = make_workspace(96, 0.004)
    centres = workspace.grid.centres_m()
    slope = (centres[None, :] + 2.0 * centres[:, None]).astype(np.float32)

    rotated = network.rotate(torch.from_numpy(slope)[None, None])[:, 0].numpy()

    u, v = np.meshgrid(centres, centres)
    for k in range(SMALL.angles):
        turn = k * math.pi / SMALL.angles
        x = u * math.cos(turn) - v * math.sin(turn)
        y = u * math.sin(turn) + v * math.cos(turn)
        inside = np.hypot(x, y) < 0.18
        assert np.abs(rotated[k] - (x + 2 * y))[inside].max() < 1e-5


def test_tips_go_deep_beside_a_lone_part_and_stay_above_a_neighbour() -> None:
    network = make_network()
    heights = np.zeros((96, 96), np.float32)
    heights[44:52, 45:51] = 0.05
    alone, _ = network.finger_heights(torch.from_numpy(heights)[None, None])
    heights[44:52, 58:62] = 0.06
    beside, _ = network.finger_heights(torch.from_numpy(heights)[None, None])

    # Aperture 85 mm puts a finger at columns 58 to 62 of a grasp at the centre.
    rise_m = ROBOTIQ_2F85.rise_m(0.085)
    assert float(alone[0, 1, 48, 48]) == pytest.approx(0.02)
    assert float(beside[0, 1, 48, 48]) == pytest.approx(0.063 - rise_m)
    assert float(beside[0, 0, 48, 48]) == pytest.approx(0.02)


def test_tips_keep_the_floor_clearance() -> None:
    network = make_network()

    tip, engagement = network.finger_heights(torch.zeros(1, 1, 96, 96))

    assert torch.allclose(tip, torch.tensor(0.002))
    assert torch.allclose(engagement, torch.tensor(-0.002))


def side_of_patch() -> int:
    return PATCH_PX + 2 * MARGIN_PX


def test_a_patch_is_judged_like_the_same_place_of_the_whole_map() -> None:
    network = make_network()
    samples = make_samples()
    # The network's finest cells are two pixels wide: compare like phases.
    phase = (side_of_patch() // 2 - MARGIN_PX) % 2
    index = np.flatnonzero((samples.row % 2 == phase) & (samples.col % 2 == phase))

    patches, centre = make_patches(network, samples, index, None)
    with torch.no_grad():
        logits = compute_logits(network, patches, centre)

    assert len(index) > 3
    for i, one in zip(index, logits, strict=True):
        heights = torch.from_numpy(samples.heights_m[samples.scene[i]])[None, None]
        with torch.no_grad():
            score, _ = network(heights)
        whole = score[samples.angle[i], :, samples.row[i], samples.col[i]]
        assert torch.allclose(torch.sigmoid(one), whole, atol=5e-3)


def test_an_exported_network_computes_the_same_and_serves_a_policy(
    tmp_path: Path,
) -> None:
    network = make_network()
    maps = list(make_samples(3).heights_m)

    difference = export_network(network, tmp_path, PROVENANCE, maps)

    model = read_model_directory(tmp_path)
    policy = HeightmapPolicy(
        model.manifest, OnnxSession(model), make_workspace(96, 0.004), 0.3
    )
    score, tip_m = policy.run_network(maps[0])
    assert difference < 1e-5
    assert score.shape == tip_m.shape == (4, 2, 96, 96)
    assert ((score >= 0) & (score <= 1)).all()


def test_a_difference_after_the_export_is_found(tmp_path: Path) -> None:
    network = make_network()
    maps = list(make_samples(2).heights_m)
    export_network(network, tmp_path, PROVENANCE, maps)

    with torch.no_grad():
        for parameter in network.unet.head.parameters():
            parameter.add_(0.05)

    assert compute_parity(network, tmp_path, maps) > 1e-3


class ForgetfulNetwork(GraspNetwork):
    """Answers otherwise each time it is asked, which no exported graph can do."""

    asked = 0

    def forward(self, heightmap: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.asked += 1
        score, tip = super().forward(heightmap)
        return score * (0.5 if self.asked % 2 else 0.4) / self.asked, tip


def test_an_export_that_computes_something_else_replaces_nothing(
    tmp_path: Path,
) -> None:
    maps = list(make_samples(2).heights_m)
    export_network(make_network(), tmp_path, PROVENANCE, maps)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    with pytest.raises(ModelError, match="keeps what it held"):
        export_network(ForgetfulNetwork(SMALL), tmp_path, PROVENANCE, maps)

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert sorted(before) == ["manifest.json", "model.onnx"]


def test_the_shipped_model_is_one_that_this_code_would_export(
    repository: Path,
) -> None:
    model = read_model_directory(repository / "policies" / "models" / "heightmap")
    shipped, network = model.manifest, GraspNetwork().eval()
    heights = make_samples(1).heights_m[0]

    provenance = Provenance(
        shipped.name,
        shipped.version,
        shipped.seed,
        shipped.data_sha256,
        shipped.git_commit,
        dict(shipped.metrics),
        shipped.created_at,
        shipped.novelty,
    )
    outputs = OnnxSession(model).run({"heightmap": heights[None, None]})
    with torch.no_grad():
        _, tip = network(torch.from_numpy(heights)[None, None])

    assert make_manifest(network, model.model_bytes, provenance) == shipped
    assert shipped.version == f"{shipped.seed}.{shipped.data_sha256[:8]}"
    # Tip heights follow from the geometry alone, whatever the weights are.
    assert np.abs(outputs["tip"] - tip.numpy()).max() < 1e-5
    # Three openings and sixteen turns of a bar: some of it can be grasped.
    assert 0.5 < outputs["score"].max() <= 1.0


def test_an_export_without_anything_to_compare_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no heightmap to compare"):
        export_network(make_network(), tmp_path, PROVENANCE, [])

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"half", b"PK\x03\x04 half"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c.pt").write_bytes(content)

    with pytest.raises(ModelError, match=r"c\.pt: damaged checkpoint; delete it"):
        fit_network(
            make_network(),
            make_samples(2),
            FitPlan(1),
            tmp_path / "c.pt",
            lambda _metrics: None,
        )


def test_a_cut_off_checkpoint_is_named(tmp_path: Path) -> None:
    path, samples = tmp_path / "c.pt", make_samples(4)
    fit_network(make_network(), samples, FitPlan(1, batch=16), path, lambda _m: None)
    path.write_bytes(path.read_bytes()[:-400])

    with pytest.raises(ModelError, match="damaged checkpoint"):
        read_finished_epochs(path)


def test_training_learns_the_toy_rule(tmp_path: Path) -> None:
    network = make_network()
    samples = make_samples(48)
    seen: list[FitMetrics] = []

    last = fit_network(
        network, samples, FitPlan(5, batch=32), tmp_path / "c.pt", seen.append
    )

    assert [metrics.epoch for metrics in seen] == [1, 2, 3, 4, 5]
    assert last.held_out_accuracy > 0.9


def test_interrupted_training_ends_at_the_same_weights(tmp_path: Path) -> None:
    samples = make_samples(12)
    plan = FitPlan(2, batch=32)
    straight = make_network()
    fit_network(straight, samples, plan, tmp_path / "straight.pt", lambda _m: None)

    class InterruptionError(Exception):
        pass

    def interrupt(_metrics: FitMetrics) -> None:
        raise InterruptionError

    with pytest.raises(InterruptionError):
        fit_network(make_network(), samples, plan, tmp_path / "c.pt", interrupt)
    resumed = make_network(seed=7)
    fit_network(resumed, samples, plan, tmp_path / "c.pt", lambda _m: None)

    for a, b in zip(straight.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_samples_survive_the_disk_and_joining(tmp_path: Path) -> None:
    first, second = make_samples(2, seed=1), make_samples(3, seed=2)
    write_samples(tmp_path / "a.npz", first)
    write_samples(tmp_path / "b.npz", second)

    joined = concatenate(
        [read_samples(tmp_path / "a.npz"), read_samples(tmp_path / "b.npz")]
    )

    assert len(joined.heights_m) == 5
    assert compute_digest(joined) == compute_digest(concatenate([first, second]))
    assert compute_digest(joined) != compute_digest(concatenate([second, first]))
    own = joined.heights_m[joined.scene[len(first)]]
    assert np.array_equal(own, second.heights_m[second.scene[0]])


def test_damaged_samples_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 half a file")

    with pytest.raises(ModelError, match=r"a\.npz: no usable grasp samples"):
        read_samples(tmp_path / "a.npz")
