"""The kernel gives softmax attention, to the rounding of bf16, for every shape that models have."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the kernel is for tensors")

from masklet.model import (  # noqa: E402
    attention,
    cpu_attention,
    kernels,
)
from masklet.model.position_encoding import rotary_table, rotate  # noqa: E402

needs_kernel = pytest.mark.skipif(
    kernels.find(False) is None or kernels.find(True) is None,
    reason="needs a CPU with AVX512-BF16 and without AMX, and a C compiler",
)
PRECISIONS = pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.bfloat16, 3e-3), (torch.float32, 2e-6)], ids=["bf16", "fp32"]
)
"""bf16 keeps 8 bits: 2e-3 of rounding alone. PyTorch's own kernel is as far off in fp32."""

SHAPES = [
    (1, 1, 1, 1, 2, 1),
    (2, 2, 37, 1, 16, 16),  # one key
    (3, 2, 16, 16, 48, 48),  # windows of 4 x 4
    (2, 3, 200, 196, 96, 96),  # windows of 14 x 14, and queries left over
    (1, 2, 97, 300, 72, 72),  # sam2.1-large's heads are no multiple of a vector
    (1, 1, 600, 257, 64, 48),  # laid out once for all queries; one key in a block of its own
    (1, 1, 8, 4097, 256, 64),  # memory attention
]
"""Batch, heads, queries, keys, channels of keys, channels of values."""


def drawn(*shape: int, dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape))).to(dtype)


def expected(queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    scores = queries.double() @ keys.double().mT * queries.shape[-1] ** -0.5 + bias.double()
    return scores.softmax(-1) @ values.double()


def error(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found.double() - wanted).norm() / wanted.norm())


@needs_kernel
@PRECISIONS
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@torch.no_grad()
def test_attention(shape: tuple[int, ...], dtype: torch.dtype, tolerance: float) -> None:
    batch, heads, num_queries, num_keys, width, value_width = shape
    queries = 3 * drawn(batch, heads, num_queries, width, dtype=dtype)
    keys = drawn(batch, heads, num_keys, width, dtype=dtype)
    values = drawn(batch, heads, num_keys, value_width, dtype=dtype)
    bias = 2 * drawn(num_keys).float()
    assert cpu_attention.takes(queries, keys, values)
    found = cpu_attention.attend(queries, keys, values, bias)
    assert found.shape == (batch, heads, num_queries, value_width)
    assert error(found, expected(queries, keys, values, bias)) < tolerance


@needs_kernel
@PRECISIONS
@torch.no_grad()
def test_scores_of_any_size_neither_overflow_nor_vanish(dtype: torch.dtype, tolerance: float) -> None:
    """The products are of whole numbers, and so without rounding: what is left is softmax."""
    queries, keys = (100 * drawn(1, 1, n, 64, dtype=dtype).round() for n in (50, 700))
    values = drawn(1, 1, 700, 64, dtype=dtype)
    found = cpu_attention.attend(queries, keys, values)
    assert error(found, expected(queries, keys, values, torch.zeros(700))) < tolerance


@needs_kernel
@torch.no_grad()
def test_strided_tensors_are_read_where_they_lie() -> None:
    qkv = drawn(2, 60, 3, 4, 32)
    queries, keys, values = (x.transpose(1, 2) for x in qkv.unbind(2))
    found = cpu_attention.attend(queries[:1].expand(2, -1, -1, -1), keys, values)
    copied = cpu_attention.attend(queries[:1].repeat(2, 1, 1, 1), keys.contiguous(), values.contiguous())
    assert torch.equal(found, copied)
    assert found.transpose(1, 2).is_contiguous()


@needs_kernel
@PRECISIONS
@torch.no_grad()
def test_positions_rotate_queries_and_keys_but_not_pointers(dtype: torch.dtype, tolerance: float) -> None:
    """Three memories of a grid of 4 x 6, and five keys without a place."""
    table = rotary_table(4, 6, 32)
    queries, keys, values = (drawn(1, 1, n, 32, dtype=dtype) for n in (24, 77, 77))
    found = cpu_attention.attend(queries, keys, values, rotary=table, key_rotary=table, num_placed=72)
    turned = rotate(keys[:, :, :72].double(), table[0].repeat(3, 1), table[1].repeat(3, 1))
    turned = torch.cat((turned, keys[:, :, 72:].double()), dim=2)
    wanted = expected(rotate(queries.double(), *table), turned, values, torch.zeros(77))
    assert error(found, wanted) < 2 * tolerance


@needs_kernel
@torch.no_grad()
def test_one_thread_gives_the_same_result_as_several() -> None:
    queries, keys, values = drawn(1, 2, 900, 32), drawn(1, 2, 900, 32), drawn(1, 2, 900, 32)
    threads = torch.get_num_threads()
    answers = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            answers.append(cpu_attention.attend(queries, keys, values))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*answers)


def test_gradients_and_other_types_are_left_to_pytorch() -> None:
    half = drawn(1, 1, 4, 16)
    assert not cpu_attention.takes(half, half, half)  # gradients are on
    with torch.no_grad():
        for other in (half.double(), half.half()):
            assert not cpu_attention.takes(other, other, other)
        for mixed in ((half, half, half.float()), (half, half.float(), half), (half.float(), half, half)):
            assert not cpu_attention.takes(*mixed)


@torch.no_grad()
def test_broadcast_and_empty_inputs_are_left_to_pytorch() -> None:
    two, one = drawn(2, 1, 40, 16), drawn(1, 1, 40, 16)
    assert not cpu_attention.takes(two, one, one)
    assert torch.allclose(attention.attend(two, one, one)[1:], attention.attend(two[1:], one, one), atol=1e-2)
    assert not cpu_attention.takes(one, one[:, :, :0], one[:, :, :0])


def test_without_a_compiler_pytorch_attends(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(kernels, "_unwanted", lambda half: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CC", "no-such-compiler")
    kernels.look.cache_clear()
    try:
        with caplog.at_level("INFO"):
            assert kernels.find(True) is None
        assert "no-such-compiler" in caplog.text
        with torch.no_grad():
            queries, keys = drawn(1, 2, 40, 16), drawn(1, 2, 50, 16)
            found = attention.attend(queries, keys, keys)
            assert error(found, expected(queries, keys, keys, torch.zeros(50))) < 1e-2
    finally:
        kernels.look.cache_clear()


def test_it_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKLET_KERNELS", "0")
    kernels.look.cache_clear()
    try:
        assert kernels.find(False) is None
    finally:
        monkeypatch.undo()
        kernels.look.cache_clear()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileNotFoundError(2, "No such file", "cc"), "no C compiler 'cc': install one"),
        (
            subprocess.CalledProcessError(1, "cc", stderr=b"cc: error: unknown -mavx512bf16\nmore"),
            "unknown -mavx512bf16)",
        ),
        (PermissionError(13, "Permission denied", "/home/nobody"), "XDG_CACHE_HOME must be a folder"),
    ],
    ids=["no compiler", "an old one", "no cache"],
)
def test_an_unusable_kernel_gives_reason_and_remedy(
    monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def failing(half: bool) -> Path:
        raise error

    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(kernels, "_unwanted", lambda half: None)
    monkeypatch.setattr(kernels, "_compiled", failing)
    kernels.look.cache_clear()
    try:
        assert kernels.find(False) is None
        assert said in kernels.look(False).why
    finally:
        kernels.look.cache_clear()


@needs_kernel
def test_it_is_compiled_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = kernels._compiled(True)
    assert list(made.parent.iterdir()) == [made]
    monkeypatch.setattr(subprocess, "run", None)
    assert kernels._compiled(True) == made
