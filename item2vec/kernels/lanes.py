# ruff: noqa: ARG001 - numba defines the parameters of intrinsics, including unused ones
"""Vectors of sixteen float32 lanes, for the inner loops of word2vec.

LLVM does not vectorise the loops over a window: they read and write a dozen rows at once, and LLVM cannot
prove that the rows do not overlap. These intrinsics emit vector instructions directly. LLVM maps a vector to
registers of the processor: one of AVX-512, two of AVX2, or four of SSE or NEON.

``load``, ``store`` and the prefetches take a ``pointer`` to a flat float32 array and an index. They do not
check bounds. Pointers avoid numba's reference counts: numba updates the count of an array at each call, and
threads that update the same count wait for each other. The caller must keep the array alive.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, register_model

from item2vec.kernels.compiled import compiled

__all__ = [
    "LANES",
    "fma",
    "load",
    "pointer",
    "prefetch",
    "prefetch_read",
    "sigmoid",
    "splat",
    "store",
    "sums",
]

LANES = 16

_VECTOR = ir.VectorType(ir.FloatType(), LANES)
_MASK = ir.VectorType(ir.IntType(32), LANES)


class LanesType(types.Type):
    """The numba type of a vector of sixteen float32 lanes."""

    def __init__(self) -> None:
        super().__init__(name="Lanes")


_LANES_TYPE = LanesType()
_NUMBERS = types.CPointer(types.float32)  # type: ignore[attr-defined]


@register_model(LanesType)
class LanesModel(models.PrimitiveModel):
    """The representation of ``LanesType`` in LLVM: a vector type."""

    def __init__(self, manager: Any, type_: Any) -> None:
        super().__init__(manager, type_, _VECTOR)


def _call(builder: Any, name: str, returned: Any, args: list[Any]) -> Any:
    function_type = ir.FunctionType(returned, [arg.type for arg in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, function_type, name), args)


@intrinsic
def pointer(typing: Any, array: Any) -> Any:
    """Return a pointer to the first element of an array."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, args[0]).data

    return types.CPointer(array.dtype)(array), generate  # type: ignore[attr-defined]


@intrinsic
def load(typing: Any, numbers: Any, index: Any) -> Any:
    """Return ``numbers[index:index + 16]``."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = builder.bitcast(builder.gep(args[0], [args[1]]), _VECTOR.as_pointer())
        return builder.load(address, align=4)

    return _LANES_TYPE(_NUMBERS, types.intp), generate


@intrinsic
def store(typing: Any, numbers: Any, index: Any, lanes: Any) -> Any:
    """Assign ``lanes`` to ``numbers[index:index + 16]``."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = builder.bitcast(builder.gep(args[0], [args[1]]), _VECTOR.as_pointer())
        builder.store(args[2], address, align=4)
        return context.get_dummy_value()

    return types.void(_NUMBERS, types.intp, _LANES_TYPE), generate


def _prefetch(writes: bool) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = builder.bitcast(builder.gep(args[0], [args[1]]), ir.IntType(8).as_pointer())
        flags = [ir.Constant(ir.IntType(32), flag) for flag in (int(writes), 3, 1)]
        _call(builder, "llvm.prefetch.p0", ir.VoidType(), [address, *flags])
        return context.get_dummy_value()

    return types.void(_NUMBERS, types.intp), generate


@intrinsic
def prefetch(typing: Any, numbers: Any, index: Any) -> Any:
    """Prefetch the cache line of ``numbers[index]``, in order to write to it."""
    return _prefetch(writes=True)


@intrinsic
def prefetch_read(typing: Any, numbers: Any, index: Any) -> Any:
    """Prefetch the cache line of ``numbers[index]``, in order to read it."""
    return _prefetch(writes=False)


@intrinsic
def splat(typing: Any, number: Any) -> Any:
    """Return a vector whose lanes all equal ``number``."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        first = builder.insert_element(
            ir.Constant(_VECTOR, ir.Undefined), args[0], ir.Constant(ir.IntType(32), 0)
        )
        return builder.shuffle_vector(first, first, ir.Constant(_MASK, [0] * LANES))

    return _LANES_TYPE(types.float32), generate


@intrinsic
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a × b + c per lane, rounded once if the processor has a fused multiply-add instruction."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _call(builder, f"llvm.fmuladd.v{LANES}f32", _VECTOR, list(args))

    return _LANES_TYPE(_LANES_TYPE, _LANES_TYPE, _LANES_TYPE), generate


@intrinsic
def _ratio(typing: Any, a: Any, b: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fdiv(*args)

    return _LANES_TYPE(_LANES_TYPE, _LANES_TYPE), generate


@intrinsic
def _clip(typing: Any, a: Any, bound: Any) -> Any:
    """Return ``np.clip(a, -bound, bound)``."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, bound = args
        least = builder.fneg(bound)
        a = builder.select(builder.fcmp_ordered(">", a, bound), bound, a)
        return builder.select(builder.fcmp_ordered("<", a, least), least, a)

    return _LANES_TYPE(_LANES_TYPE, _LANES_TYPE), generate


@intrinsic
def sums(typing: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any) -> Any:
    """Return the sums over the lanes of six vectors, in lanes 0 to 5. The other lanes are undefined.

    Pairs of vectors are merged into vectors of partial sums until each sum occupies one lane. This takes a
    third of the instructions of six separate sums.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        level = [*args, ir.Constant(_VECTOR, None), ir.Constant(_VECTOR, None)]
        width = LANES // 2
        while width:
            lower = [lane for lane in range(2 * LANES) if lane % (2 * width) < width]
            masks = [ir.Constant(_MASK, [lane + shift for lane in lower]) for shift in (0, width)]
            pairs = zip(level[::2], level[1::2], strict=True) if len(level) > 1 else [(level[0], level[0])]
            level = [builder.fadd(*(builder.shuffle_vector(a, b, mask) for mask in masks)) for a, b in pairs]
            width //= 2
        return level[0]

    return _LANES_TYPE(*[_LANES_TYPE] * 6), generate


@compiled
def sigmoid(x: Any) -> Any:
    """Return 1 / (1 + exp(-x)) with an error of about 1e-7; NaN stays NaN.

    The result is (1 + tanh(x / 2)) / 2. Eigen's rational approximation of tanh needs no table and no
    branch.
    """
    x = _clip(fma(x, splat(0.5), splat(-0.0)), splat(7.90531110763549805))
    square = fma(x, x, splat(0.0))
    over = fma(square, splat(-2.76076847742355e-16), splat(2.00018790482477e-13))
    over = fma(square, over, splat(-8.60467152213735e-11))
    over = fma(square, over, splat(5.12229709037114e-08))
    over = fma(square, over, splat(1.48572235717979e-05))
    over = fma(square, over, splat(6.37261928875436e-04))
    over = fma(square, over, splat(4.89352455891786e-03))
    under = fma(square, splat(1.19825839466702e-06), splat(1.18534705686654e-04))
    under = fma(square, under, splat(2.26843463243900e-03))
    under = fma(square, under, splat(4.89352518554385e-03))
    tanh = _ratio(fma(x, over, splat(0.0)), under)
    return fma(tanh, splat(0.5), splat(0.5))
