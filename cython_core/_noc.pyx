"""Discrete-event simulation of cores on a network of links: the tables in typed memory, the run in ``noc.h``.

The caller (gxevent.mapping.simulate) proves every index once; the run trusts them.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t

import numpy as np


cdef extern from "noc.h" nogil:
    ctypedef struct noc_tables:
        int32_t links, lanes, cores, senders, groups
        int32_t buffer, inject, receive
        const int32_t *lane_link
        const int64_t *link_time
        const int32_t *node_lane
        const int32_t *node_child
        const int32_t *node_fan
        const int32_t *node_drop
        const int32_t *drop_core
        const int32_t *drop_ordinal
        const int32_t *packet_root
        const int64_t *packet_work
        const int64_t *work_time
        const int32_t *work_arrival
        const int32_t *arrival_start
        const int32_t *arrival_group
        const int32_t *unit_packet
        const int64_t *unit_time
        const int64_t *unit_spike
        const uint8_t *fired
        const int32_t *group_unit
        const int32_t *group_sender
        const int32_t *group_stage
        const int32_t *sender_group
        const int32_t *feed_start
        const int32_t *feed_group
        const int32_t *feeds
        const int64_t *group_packet
        int64_t *link_load
        int64_t *receive_busy
        int64_t *receive_area
        int64_t *receive_first
        int64_t *receive_last
        int64_t *send_busy
        int64_t *send_stall
        int64_t *group_begin
        int64_t *group_end
        int64_t *created
        int64_t *arrived
        int64_t *finished
        int32_t *receive_peak
        int64_t deliveries, injected, events

    int64_t noc_run(noc_tables *t, int stage)

ALL_AT_ONCE, WHEN_READY = -1, -2
NO_MEMORY, DEADLOCK = -1, -2


cdef const int32_t *_i32(dict arrays, str name):
    cdef const int32_t[::1] view = arrays[name]
    return &view[0] if view.shape[0] else NULL


cdef const int64_t *_i64(dict arrays, str name):
    cdef const int64_t[::1] view = arrays[name]
    return &view[0] if view.shape[0] else NULL


cdef int64_t *_out(dict made, str name, size, long long fill=0):
    cdef int64_t[::1] view = made.setdefault(name, np.full(max(size, 1), fill, np.int64))
    return &view[0]


def run(dict arrays, const uint8_t[::1] fired, int stage, int buffer, int inject, int receive, long long records):
    """Run one stage, everything at once (ALL_AT_ONCE) or every group when what it waits for has come (WHEN_READY).

    Parameters
    ----------
    arrays
        IN, the tables of ``noc_tables`` by name: int32 or int64 as there, C order. They stay alive and unchanged.
    fired
        IN (units,), nonzero where the unit sends its packets.
    buffer, inject, receive
        Capacities in packets: behind a link, of an injection queue, of a core's queue.
    records
        Deliveries to record one by one (their exact number), or 0 for none.

    Returns (end, made): the time of the last event in picoseconds, or NO_MEMORY or DEADLOCK, and the measured arrays.
    """
    cdef noc_tables t
    cdef int32_t[::1] peak
    cdef int64_t end
    cdef dict made = {}
    t.links, t.lanes = len(arrays["link_time"]), len(arrays["lane_link"])
    t.senders, t.groups = len(arrays["sender_group"]) - 1, len(arrays["group_stage"])
    t.cores = arrays["cores"]
    t.buffer, t.inject, t.receive = buffer, inject, receive
    t.lane_link, t.link_time = _i32(arrays, "lane_link"), _i64(arrays, "link_time")
    t.node_lane, t.node_child = _i32(arrays, "node_lane"), _i32(arrays, "node_child")
    t.node_fan = _i32(arrays, "node_fan")
    t.node_drop, t.drop_core = _i32(arrays, "node_drop"), _i32(arrays, "drop_core")
    t.drop_ordinal = _i32(arrays, "drop_ordinal")
    t.packet_root, t.packet_work = _i32(arrays, "packet_root"), _i64(arrays, "packet_work")
    t.work_time, t.work_arrival = _i64(arrays, "work_time"), _i32(arrays, "work_arrival")
    t.arrival_start, t.arrival_group = _i32(arrays, "arrival_start"), _i32(arrays, "arrival_group")
    t.unit_packet, t.unit_time = _i32(arrays, "unit_packet"), _i64(arrays, "unit_time")
    t.fired = &fired[0] if fired.shape[0] else NULL
    t.group_unit, t.group_sender = _i32(arrays, "group_unit"), _i32(arrays, "group_sender")
    t.group_stage, t.sender_group = _i32(arrays, "group_stage"), _i32(arrays, "sender_group")
    t.feed_start, t.feed_group = _i32(arrays, "feed_start"), _i32(arrays, "feed_group")
    t.feeds = _i32(arrays, "feeds")
    t.unit_spike, t.group_packet = _i64(arrays, "unit_spike"), _i64(arrays, "group_packet")
    t.link_load = _out(made, "link_load", t.links)
    t.receive_busy, t.receive_area = _out(made, "receive_busy", t.cores), _out(made, "receive_area", t.cores)
    t.receive_first, t.receive_last = _out(made, "receive_first", t.cores), _out(made, "receive_last", t.cores)
    t.send_busy, t.send_stall = _out(made, "send_busy", t.senders), _out(made, "send_stall", t.senders)
    t.group_begin = _out(made, "group_begin", t.groups, -1)
    t.group_end = _out(made, "group_end", t.groups, -1)
    t.created = t.arrived = t.finished = NULL
    if records:
        t.created, t.arrived = _out(made, "created", records), _out(made, "arrived", records)
        t.finished = _out(made, "finished", records)
    made["receive_peak"] = peak = np.zeros(max(t.cores, 1), np.int32)
    t.receive_peak = &peak[0]
    t.deliveries = t.injected = t.events = 0
    with nogil:
        end = noc_run(&t, stage)
    made["receive_peak"] = np.asarray(peak)
    made["deliveries"], made["injected"], made["events"] = t.deliveries, t.injected, t.events
    return end, made
