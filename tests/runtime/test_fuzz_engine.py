"""Whatever arrays come in: the answer of a plain int8 copy of their values, or one clear error. Never garbage.

`make sanitize` runs this file on a build that stops at the first invalid access.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import gxevent as gx
from gxevent.errors import GxError, OptionError, ShapeError
from gxevent.events import EVENT_DTYPE
from gxevent.runtime.plan import available_kernels
from tests import networks

KERNELS = available_kernels()
WHOLE = ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", ">i2", ">i4", ">i8", ">u2", ">u4", ">u8", "?")
OTHER = ("f2", "f4", "f8", ">f4", "c8", "O", "U3", "S2", "M8[us]", "m8[ns]", "V4", [("a", "i1")])
SPACES = {0: {-1, 1}, 1: {-1, 0, 1}, 3: set(range(-4, 5)), 7: set(range(-64, 65))}


@lru_cache
def small(kind: str, space: int = 1, kernel: str = "auto", threads: int = 1) -> gx.Engine:
    """A network whose sizes fit no vector: 37 inputs, or images of 3 x 7 x 5."""
    rng = np.random.default_rng(0)
    if kind == "dense":
        shape: tuple[int, ...] = (37,)
        layers = [gx.Dense(networks.levels(rng, (21, 37))), gx.Activation(), gx.Dense(networks.levels(rng, (5, 21)))]
    else:
        shape = (3, 7, 5)
        layers = [gx.Conv2d(networks.levels(rng, (9, 3, 3, 3)), padding=1), gx.MaxPool2d(2), gx.Activation()]
        layers += [gx.Flatten(), gx.Dense(networks.levels(rng, (5, 54)))]
    graph = gx.compile(gx.TernaryNetwork(shape, None, layers, input_levels=space))
    return gx.Engine(graph, kernel=kernel, threads=threads)


def values(rng: np.random.Generator, shape: tuple[int, ...], space: int) -> np.ndarray:
    return rng.choice(sorted(SPACES[space]), size=shape).astype(np.int8)


def layouts(a: np.ndarray) -> dict[str, np.ndarray]:
    """The same values in other memory: every way in which an array can fail to be plain."""
    wide = np.full([3 * n for n in a.shape], 99, a.dtype)
    spaced = wide[(slice(1, None, 3),) * a.ndim]
    spaced[...] = a
    unaligned = a
    if not a.dtype.hasobject:
        unaligned = np.zeros(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
        unaligned[...] = a
    frozen = a.copy()
    frozen.flags.writeable = False
    turned = np.ascontiguousarray(np.moveaxis(a, 0, -1))
    return {
        "spaced": spaced,
        "backwards": np.flip(np.flip(a).copy()),
        "columns first": np.asfortranarray(a),
        "unaligned": unaligned,
        "read-only": frozen,
        "turned": np.moveaxis(turned, -1, 0),
        "list": a.tolist(),
        "subclass": a.view(type("Frames", (np.ndarray,), {})),
        "memoryview": memoryview(np.ascontiguousarray(a)) if a.dtype.isnative else a,
    }


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_memory_layout_does_not_matter(kind, kernel):
    engine = small(kind, kernel=kernel)
    frames = values(np.random.default_rng(1), (6, *engine.graph.input.shape), 1)
    expected = engine.run(frames)
    for name, other in layouts(frames).items():
        before = np.array(other, copy=True)
        for mode in ("batch", "sample"):
            got = engine.run(other, mode=mode)
            np.testing.assert_array_equal(got.accumulators, expected.accumulators, err_msg=name)
            np.testing.assert_array_equal(got.counts.events["input"], expected.counts.events["input"], err_msg=name)
        np.testing.assert_array_equal(np.asarray(other), before, err_msg=f"{name}: changed the caller's array")
    one = np.broadcast_to(frames[0], frames.shape)  # strides of zero
    np.testing.assert_array_equal(engine.run(one).accumulators, expected.accumulators[:1].repeat(6, axis=0))


@pytest.mark.parametrize("dtype", WHOLE)
@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_whole_numbers_of_any_width_and_byte_order(kind, dtype):
    engine = small(kind)
    frames = values(np.random.default_rng(2), (4, *engine.graph.input.shape), 1)
    if np.dtype(dtype).kind in "ub":
        frames = np.abs(frames)
    expected = engine.run(frames).accumulators
    other = frames.astype(dtype)
    assert (other == frames).all()
    for name, laid in layouts(other).items():
        np.testing.assert_array_equal(engine.run(laid).accumulators, expected, err_msg=name)


@pytest.mark.parametrize("dtype", OTHER, ids=str)
def test_other_types_are_refused(dtype):
    engine = small("dense")
    with pytest.raises(ShapeError, match="frames"):
        engine.run(np.zeros((2, 37), dtype))
    with pytest.raises(ShapeError, match="frames"):
        engine.trace(np.zeros((37,), dtype))


@pytest.mark.parametrize("space", SPACES)
def test_values_outside_the_level_range_are_refused_whatever_they_wrap_to(space):
    engine = small("dense", space)
    top = max(SPACES[space])
    frames = np.full((3, 37), top, np.int64)
    for value in (top + 1, -top - 1, 127, -128, 255, 256, 256 + top, -256 - top, 2**31, 2**32, 2**40 + 1, -(2**62)):
        if value in SPACES[space]:
            continue
        wrong = frames.copy()
        wrong[1, 36] = value
        for a in (wrong, wrong.astype(">i8"), wrong[:, ::-1]):
            with pytest.raises(ShapeError, match="outside"):
                engine.run(a)
    for dtype, value in (("u8", 2**64 - 1), ("u1", 255), ("u2", 2**16 - 1), ("i1", -128)):
        with pytest.raises(ShapeError, match="outside"):
            engine.run(np.full((1, 37), value, dtype))
    if space == 0:
        frames[2, 5] = -1
        frames[0, 5] = 0
        with pytest.raises(ShapeError, match="0 is outside the binary input space"):
            engine.run(frames)


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_nothing_in_nothing_out(kind):
    engine = small(kind, threads=2)
    empty = engine.run(np.zeros((0, *engine.graph.input.shape), np.int8))
    assert empty.scores.shape == empty.accumulators.shape == (0, 5)
    assert all(len(n) == 0 for n in empty.counts.events.values())
    assert empty.predictions.shape == empty.latency_ns.shape == (0,)


WRONG_SHAPES = ((), (0,), (36,), (38,), (1, 36), (2, 0), (0, 0), (37, 1), (1, 1, 37), (1, 37, 1), (0, 38))


@pytest.mark.parametrize("shape", WRONG_SHAPES, ids=str)
def test_wrong_shapes_are_refused(shape):
    with pytest.raises(ShapeError, match="frames: expected shape"):
        small("dense").run(np.zeros(shape, np.int8))


@pytest.mark.parametrize("frames", [None, "frames", b"\0" * 37, [[0] * 37, [0] * 36], {}, object(), 5, 0.5])
def test_what_is_no_array_at_all_is_refused(frames):
    with pytest.raises(ValueError, match=r"\w"):  # ShapeError, or NumPy's own for ragged lists
        small("dense").run(frames)


@settings(max_examples=300)
@given(st.data())
def test_any_array_gives_the_right_answer_or_one_error(data):
    space = data.draw(st.sampled_from(sorted(SPACES)), label="space")
    engine = small(data.draw(st.sampled_from(["dense", "conv"])), space, data.draw(st.sampled_from(KERNELS)), 2)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    shape = [data.draw(st.integers(0, 200), label="samples"), *engine.graph.input.shape]
    at = data.draw(st.integers(0, len(shape) - 1))
    changed = (shape, shape, shape, shape[:at] + shape[at + 1 :], [*shape[:at], 1, *shape[at:]], shape[::-1])
    shape = data.draw(st.sampled_from(changed), label="shape")
    dtype = np.dtype(data.draw(st.sampled_from(WHOLE + OTHER[:6]), label="dtype"))
    with np.errstate(all="ignore"):
        frames = values(rng, tuple(shape), space).astype(dtype)
    if frames.size and data.draw(st.integers(0, 3), label="a value of its own") == 0:
        flat = frames.reshape(-1)
        flat[data.draw(st.integers(0, frames.size - 1))] = data.draw(st.integers(0, 127))
    if frames.ndim:
        laid = layouts(frames) if frames.size else {"plain": frames}
        frames = laid[data.draw(st.sampled_from(sorted(laid)), label="layout")]
    a = np.asarray(frames)
    fits = a.shape == engine.graph.input.shape or a.shape[1:] == engine.graph.input.shape
    known = a.dtype.kind in "iub" and fits and {int(v) for v in np.unique(a)} <= SPACES[space]
    mode, count = data.draw(st.sampled_from(["batch", "sample"])), data.draw(st.booleans())
    if not known:
        with pytest.raises(GxError, match="frames"):
            engine.run(frames, mode=mode, count=count)
        return
    got = engine.run(frames, mode=mode, count=count)
    plain = np.array(a, dtype=np.int8, order="C").reshape(-1, *engine.graph.input.shape)
    np.testing.assert_array_equal(got.accumulators, engine.run(plain).accumulators)


@pytest.mark.parametrize("kernel", ["", "AVX512", "avx10", "cuda", "auto ", None, 3, b"generic", ("generic",)])
def test_kernels_that_this_machine_cannot_run_are_refused(kernel):
    with pytest.raises(OptionError, match="cannot run on this machine: choose auto, generic"):
        gx.Engine(small("dense").graph, kernel=kernel)


@pytest.mark.parametrize("threads", [0, -1, True, 1.0, "2", None, np.float32(2), [2]])
def test_thread_counts_that_are_none_are_refused(threads):
    with pytest.raises(OptionError, match="threads: expected a whole number >= 1"):
        gx.Engine(small("dense").graph, threads=threads)


@pytest.mark.parametrize("mode", ["stream", "BATCH", "", None, 1])
def test_modes_that_do_not_exist_are_refused(mode):
    with pytest.raises(OptionError, match="'batch' or 'sample'"):
        small("dense").run(np.zeros((1, 37), np.int8), mode=mode)


# --------------------------------------------------------------------------------------------------- event streams


@lru_cache
def camera() -> gx.Engine:
    rng = np.random.default_rng(3)
    layers = [gx.Conv2d(networks.levels(rng, (6, 2, 3, 3))), gx.MaxPool2d(2), gx.Activation(), gx.Flatten()]
    layers += [gx.Dense(networks.levels(rng, (3, 54)))]
    return gx.Engine(gx.compile(gx.TernaryNetwork((2, 8, 8), gx.Encoder("onoff"), layers)))


def some_events(n: int = 300) -> np.ndarray:
    rng = np.random.default_rng(4)
    events = np.zeros(n, EVENT_DTYPE)
    events["t"] = np.cumsum(rng.integers(0, 50, n))
    events["x"], events["y"], events["p"] = rng.integers(0, 8, n), rng.integers(0, 8, n), rng.integers(0, 2, n)
    return events


def decisions(events: np.ndarray) -> np.ndarray:
    return camera().stream(window="40ev", stride="7ev").push(events).accumulators


def test_events_in_other_memory_give_the_same_decisions():
    events = some_events()
    expected = decisions(events)
    assert len(expected) > 30
    spaced = np.repeat(events, 3)[::3]
    backwards = np.ascontiguousarray(events[::-1])[::-1]
    memory = np.zeros(events.nbytes + 1, np.uint8)
    unaligned = memory[1:].view(EVENT_DTYPE)
    unaligned[...] = events
    frozen = events.copy()
    frozen.flags.writeable = False
    for other in (spaced, backwards, unaligned, frozen):
        np.testing.assert_array_equal(decisions(other), expected)


def test_events_of_another_type_or_shape_are_refused():
    events = some_events(20)
    swapped = events.astype(EVENT_DTYPE.newbyteorder(">"))
    fewer = np.zeros(20, [("t", "i8"), ("x", "u2"), ("y", "u2")])
    for wrong in (swapped, fewer, np.zeros((20, 4), np.int64), events.reshape(4, 5), [1, 2, 3], None, events.tolist()):
        with pytest.raises(ShapeError, match="events: expected a one-dimensional array of EVENT_DTYPE"):
            decisions(wrong)
    assert decisions(events[:0]).shape == (0, 3)


@pytest.mark.parametrize(("field", "value"), [("x", 8), ("y", 8), ("x", 2**16 - 1), ("y", 2**16 - 1)])
def test_events_outside_the_sensor_are_refused_and_change_nothing(field, value):
    events = some_events()
    wrong = events.copy()
    wrong[field][150] = value
    session = camera().stream(window="40ev", stride="7ev")
    first = session.push(events[:100]).accumulators
    with pytest.raises(ShapeError, match="event 150"):
        session.push(wrong[100:])
    rest = session.push(events[100:]).accumulators
    np.testing.assert_array_equal(np.concatenate([first, rest]), decisions(events))


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 299), max_size=6))
def test_times_of_any_kind_give_decisions_or_one_error(seed, at):
    """Extremes, jumps and steps back anywhere; the session goes on afterwards."""
    rng = np.random.default_rng(seed)
    events = some_events()
    for i in at:
        events["t"][i] = rng.choice([0, -1, 2**31, 2**40, 2**62, -(2**62)])
    session = camera().stream(window=str(rng.choice(["40ev", "1ms", "90us"])), stride=str(rng.choice(["7ev", "300us"])))
    if (np.diff(events["t"]) < 0).any():
        with pytest.raises(gx.FormatError, match="time falls"):
            session.push(events)
    elif np.ptp(events["t"]) < 10**7:  # strides of time over a jump of years are a decision each: too many to ask for
        session.push(events)
