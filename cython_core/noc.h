/* Discrete-event simulation of cores that exchange packets over a network of links with finite buffers.

   A sender visits its units in order and puts packets into its injection queue. The head of every buffer asks for the
   links its tree goes on along, and for a place at the cores it is meant for; links and cores serve requests in the
   order they came. A link carries one packet at a time; the packet leaves its buffer when its last copy starts, and
   has a place reserved behind the link from then on. A core works packets off one after the other.

   Times are whole picoseconds and events at one time happen in the order they were made: the same tables give the same
   trace everywhere. Every link, core and sender has at most one pending event, so the heap never grows. */

#ifndef GXEVENT_NOC_H
#define GXEVENT_NOC_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { NOC_DONE = 0, NOC_NO_MEMORY = -1, NOC_DEADLOCK = -2 };
enum { NOC_ALL_AT_ONCE = -1, NOC_WHEN_READY = -2 }; /* instead of a stage */

typedef struct {
    /* Network: lanes are the buffers behind links, several to a link where rings would block each other. */
    int32_t links, lanes, cores, senders, groups;
    int32_t buffer, inject, receive; /* capacities in packets */
    const int32_t *lane_link;
    const int64_t *link_time;
    /* Trees: the node_fan children of a node lie side by side from node_child on. */
    const int32_t *node_lane, *node_child, *node_fan, *node_drop, *drop_core, *drop_ordinal;
    /* Packets of a unit, and the work that each brings to the cores it reaches. */
    const int32_t *packet_root;
    const int64_t *packet_work, *work_time;
    const int32_t *work_arrival, *arrival_start, *arrival_group;
    const int32_t *unit_packet;
    const int64_t *unit_time, *unit_spike;
    const uint8_t *fired;
    /* Groups: units of one population on one sender, those of a sender side by side. */
    const int32_t *group_unit, *group_sender, *group_stage, *sender_group, *feed_start, *feed_group, *feeds;
    const int64_t *group_packet;
    /* What is measured. Records hold one entry a delivery, or are NULL. */
    int64_t *link_load, *receive_busy, *receive_area, *receive_first, *receive_last, *send_busy, *send_stall;
    int64_t *group_begin, *group_end, *created, *arrived, *finished;
    int32_t *receive_peak;
    int64_t deliveries, injected, events;
} noc_tables;

typedef struct {
    int64_t created, arrived, work;
    int32_t packet, node, remaining, next;
} noc_copy;

typedef struct {
    int32_t buffer, target, next; /* target: child node for a link, drop for a core */
} noc_request;

typedef struct {
    int64_t time, order;
    int32_t what;
} noc_event;

typedef struct {
    int32_t head, tail, count;
} noc_list;

typedef struct {
    noc_tables *t;
    int64_t now, order;
    noc_event *heap;
    int32_t heap_size;
    noc_copy *copy;
    int32_t copies, free_copy;
    noc_request *request;
    int32_t requests, free_request;
    noc_list *buffer;        /* lanes, then injection queues */
    int32_t *place;          /* packets in or on their way to a lane */
    noc_list *link_wait;
    int32_t *on_link;        /* copy on each link, -1 idle */
    noc_list *core_queue, *core_wait;
    int32_t *in_service;     /* copy each core works on, -1 idle */
    int64_t *core_since;
    int32_t *at_group, *at_unit, *at_packet, *ending, *stalled, *waiting;
    int32_t *pending;
    int32_t *todo, todo_head, todo_count, todo_size;
    uint8_t *in_todo;
    int64_t in_flight;
    int stage, failed;
} noc_state;

/* ------------------------------------------------------------------------------------------- heap, pools, lists */

static inline int noc_before(const noc_event *a, const noc_event *b) {
    return a->time < b->time || (a->time == b->time && a->order < b->order);
}

static void noc_schedule(noc_state *s, int64_t time, int32_t what) {
    noc_event e = {time, s->order++, what};
    int32_t i = s->heap_size++;
    while (i > 0) {
        int32_t up = (i - 1) >> 1;
        if (!noc_before(&e, &s->heap[up])) break;
        s->heap[i] = s->heap[up];
        i = up;
    }
    s->heap[i] = e;
}

static noc_event noc_next(noc_state *s) {
    noc_event first = s->heap[0], e = s->heap[--s->heap_size];
    int32_t i = 0, n = s->heap_size;
    for (;;) {
        int32_t down = 2 * i + 1;
        if (down >= n) break;
        down += down + 1 < n && noc_before(&s->heap[down + 1], &s->heap[down]);
        if (!noc_before(&s->heap[down], &e)) break;
        s->heap[i] = s->heap[down];
        i = down;
    }
    s->heap[i] = e;
    return first;
}

static int32_t noc_new_copy(noc_state *s) {
    int32_t k = s->free_copy;
    if (k < 0) {
        int32_t more = s->copies + s->copies / 2 + 256;
        noc_copy *grown = more < s->copies ? NULL : realloc(s->copy, (size_t)more * sizeof *grown);
        if (!grown) {
            s->failed = 1;
            return 0; /* the run ends after this event; entry 0 is always there */
        }
        s->copy = grown;
        for (int32_t i = more - 1; i >= s->copies; i--) {
            grown[i].next = s->free_copy;
            s->free_copy = i;
        }
        s->copies = more;
        k = s->free_copy;
    }
    s->free_copy = s->copy[k].next;
    return k;
}

static inline void noc_drop_copy(noc_state *s, int32_t k) {
    s->copy[k].next = s->free_copy;
    s->free_copy = k;
}

static int32_t noc_new_request(noc_state *s) {
    int32_t k = s->free_request;
    if (k < 0) {
        int32_t more = s->requests + s->requests / 2 + 256;
        noc_request *grown = realloc(s->request, (size_t)more * sizeof *grown);
        if (!grown) {
            s->failed = 1;
            return 0;
        }
        s->request = grown;
        for (int32_t i = more - 1; i >= s->requests; i--) {
            grown[i].next = s->free_request;
            s->free_request = i;
        }
        s->requests = more;
        k = s->free_request;
    }
    s->free_request = s->request[k].next;
    return k;
}

static inline void noc_append_copy(noc_state *s, noc_list *list, int32_t k) {
    s->copy[k].next = -1;
    if (list->count++) s->copy[list->tail].next = k;
    else list->head = k;
    list->tail = k;
}

static inline int32_t noc_take_copy(noc_state *s, noc_list *list) {
    int32_t k = list->head;
    list->head = s->copy[k].next;
    list->count--;
    return k;
}

static void noc_ask(noc_state *s, noc_list *list, int32_t buffer, int32_t target) {
    int32_t k = noc_new_request(s);
    noc_request *r = &s->request[k];
    r->buffer = buffer, r->target = target, r->next = -1;
    if (list->count++) s->request[list->tail].next = k;
    else list->head = k;
    list->tail = k;
}

/* Things to look at again at the present time: buffers whose head is new, links, cores, senders that stalled. */
static inline void noc_look(noc_state *s, int32_t item) {
    if (s->in_todo[item]) return;
    s->in_todo[item] = 1;
    int32_t at = s->todo_head + s->todo_count++;
    s->todo[at >= s->todo_size ? at - s->todo_size : at] = item;
}

#define NOC_LOOK_LINK(s, i) noc_look(s, (s)->t->lanes + (s)->t->senders + (i))
#define NOC_LOOK_CORE(s, i) noc_look(s, (s)->t->lanes + (s)->t->senders + (s)->t->links + (i))
#define NOC_LOOK_SENDER(s, i) noc_look(s, (s)->t->lanes + (s)->t->senders + (s)->t->links + (s)->t->cores + (i))

/* --------------------------------------------------------------------------------------------------- the network */

/* One copy of the head of a buffer has started; the head leaves with its last copy. */
static inline void noc_started(noc_state *s, int32_t b) {
    noc_list *list = &s->buffer[b];
    if (--s->copy[list->head].remaining) return;
    noc_drop_copy(s, noc_take_copy(s, list));
    if (b < s->t->lanes) {
        s->place[b]--;
        if (s->link_wait[s->t->lane_link[b]].count) NOC_LOOK_LINK(s, s->t->lane_link[b]);
    } else if (s->stalled[b - s->t->lanes] >= 0) {
        NOC_LOOK_SENDER(s, b - s->t->lanes);
    }
    if (list->count) noc_look(s, b);
}

static void noc_transmit(noc_state *s, int32_t link, int32_t b, int32_t node) {
    int32_t k = noc_new_copy(s);
    const noc_copy *of = &s->copy[s->buffer[b].head];
    s->copy[k].packet = of->packet, s->copy[k].created = of->created, s->copy[k].node = node;
    s->place[s->t->node_lane[node]]++;
    s->on_link[link] = k;
    s->t->link_load[link]++;
    noc_schedule(s, s->now + s->t->link_time[link], link);
    noc_started(s, b);
}

static inline void noc_count_core(noc_state *s, int32_t c, int32_t before) {
    s->t->receive_area[c] += before * (s->now - s->core_since[c]);
    s->core_since[c] = s->now;
}

static inline int32_t noc_at_core(const noc_state *s, int32_t c) {
    return s->core_queue[c].count + s->core_wait[c].count + (s->in_service[c] >= 0);
}

static inline void noc_serve(noc_state *s, int32_t c, int32_t k) {
    s->in_service[c] = k;
    if (s->t->receive_first[c] < 0) s->t->receive_first[c] = s->now;
    int64_t takes = s->t->work_time[s->copy[k].work];
    s->t->receive_busy[c] += takes;
    noc_schedule(s, s->now + takes, s->t->links + c);
}

/* A packet's copy for a core leaves its buffer and queues there. */
static void noc_deliver(noc_state *s, int32_t c, int32_t b, int32_t drop) {
    int32_t k = noc_new_copy(s);
    const noc_copy *of = &s->copy[s->buffer[b].head];
    s->copy[k].created = of->created, s->copy[k].arrived = s->now;
    s->copy[k].work = s->t->packet_work[of->packet] + s->t->drop_ordinal[drop];
    if (s->in_service[c] < 0) noc_serve(s, c, k);
    else noc_append_copy(s, &s->core_queue[c], k);
    noc_started(s, b);
}

/* The head of a buffer is new: ask for its links and cores, in the order of the tree. */
static void noc_issue(noc_state *s, int32_t b) {
    const noc_tables *t = s->t;
    int32_t node = s->copy[s->buffer[b].head].node;
    int32_t child = t->node_child[node], child_end = child + t->node_fan[node];
    int32_t drop = t->node_drop[node], drop_end = t->node_drop[node + 1];
    s->copy[s->buffer[b].head].remaining = child_end - child + drop_end - drop;
    for (; drop < drop_end; drop++) {
        int32_t c = t->drop_core[drop], before = noc_at_core(s, c);
        noc_count_core(s, c, before);
        if (before + 1 > t->receive_peak[c]) t->receive_peak[c] = before + 1;
        if (!s->core_wait[c].count && (s->in_service[c] < 0 || s->core_queue[c].count < t->receive))
            noc_deliver(s, c, b, drop);
        else
            noc_ask(s, &s->core_wait[c], b, drop);
    }
    for (; child < child_end; child++) {
        int32_t lane = t->node_lane[child], link = t->lane_link[lane];
        if (s->on_link[link] < 0 && !s->link_wait[link].count && s->place[lane] < t->buffer)
            noc_transmit(s, link, b, child);
        else {
            noc_ask(s, &s->link_wait[link], b, child);
            if (s->on_link[link] < 0) NOC_LOOK_LINK(s, link); /* those before it may wait for another lane */
        }
    }
}

/* Let the first waiting packet go whose lane has a place. */
static void noc_try_link(noc_state *s, int32_t link) {
    if (s->on_link[link] >= 0) return;
    noc_list *list = &s->link_wait[link];
    for (int32_t before = -1, k = list->count ? list->head : -1; k >= 0; before = k, k = s->request[k].next) {
        noc_request r = s->request[k];
        if (s->place[s->t->node_lane[r.target]] >= s->t->buffer) continue;
        if (before < 0) list->head = r.next;
        else s->request[before].next = r.next;
        if (list->tail == k) list->tail = before;
        list->count--;
        s->request[k].next = s->free_request;
        s->free_request = k;
        noc_transmit(s, link, r.buffer, r.target);
        return;
    }
}

static void noc_try_core(noc_state *s, int32_t c) {
    noc_list *list = &s->core_wait[c];
    while (list->count && (s->in_service[c] < 0 || s->core_queue[c].count < s->t->receive)) {
        int32_t k = list->head;
        noc_request r = s->request[k];
        list->head = r.next;
        list->count--;
        s->request[k].next = s->free_request;
        s->free_request = k;
        noc_deliver(s, c, r.buffer, r.target);
    }
}

/* -------------------------------------------------------------------------------------------- senders and groups */

/* Go on from the present unit: to its next packet, the next unit that sends, or the end of the group. */
static void noc_visit(noc_state *s, int32_t sender, int64_t time) {
    const noc_tables *t = s->t;
    int32_t g = s->at_group[sender], u = s->at_unit[sender], end = t->group_unit[g + 1];
    if (u >= t->group_unit[g] && t->fired[u] && s->at_packet[sender] + 1 < t->unit_packet[u + 1]) {
        s->at_packet[sender]++;
        noc_schedule(s, time + t->group_packet[g], t->links + t->cores + sender);
        return;
    }
    for (u++; u < end; u++) {
        time += t->unit_time[u];
        if (!t->fired[u]) continue;
        time += t->unit_spike[u];
        if (t->unit_packet[u] == t->unit_packet[u + 1]) continue;
        s->at_unit[sender] = u, s->at_packet[sender] = t->unit_packet[u];
        noc_schedule(s, time + t->group_packet[g], t->links + t->cores + sender);
        return;
    }
    s->at_unit[sender] = end, s->ending[sender] = 1;
    noc_schedule(s, time, t->links + t->cores + sender);
}

static void noc_begin_group(noc_state *s, int32_t sender) {
    const noc_tables *t = s->t;
    int32_t g = s->at_group[sender], end = t->sender_group[sender + 1];
    while (g < end && s->stage >= 0 && t->group_stage[g] != s->stage) g++;
    s->at_group[sender] = g;
    if (g == end) return;
    if (s->stage == NOC_WHEN_READY && s->pending[g] > 0) {
        s->waiting[sender] = g;
        return;
    }
    s->waiting[sender] = -1;
    t->group_begin[g] = s->now;
    s->at_unit[sender] = t->group_unit[g] - 1;
    noc_visit(s, sender, s->now);
}

static inline void noc_less(noc_state *s, int32_t g) {
    if (--s->pending[g] == 0 && s->waiting[s->t->group_sender[g]] == g) noc_begin_group(s, s->t->group_sender[g]);
}

static void noc_inject(noc_state *s, int32_t sender, int64_t created) {
    const noc_tables *t = s->t;
    int32_t k = noc_new_copy(s), packet = s->at_packet[sender], root = t->packet_root[packet];
    noc_copy *copy = &s->copy[k];
    copy->packet = packet, copy->node = root, copy->created = created;
    int64_t work = t->packet_work[packet], reached = t->packet_work[packet + 1] - work;
    if (s->stage == NOC_WHEN_READY)
        for (int64_t w = work; w < work + reached; w++)
            for (int32_t i = t->arrival_start[t->work_arrival[w]]; i < t->arrival_start[t->work_arrival[w] + 1]; i++)
                s->pending[t->arrival_group[i]]++;
    s->in_flight += reached;
    s->t->injected++;
    noc_append_copy(s, &s->buffer[t->lanes + sender], k);
    if (s->buffer[t->lanes + sender].count == 1) noc_look(s, t->lanes + sender);
    noc_visit(s, sender, s->now);
}

static void noc_send(noc_state *s, int32_t sender) {
    const noc_tables *t = s->t;
    int32_t g = s->at_group[sender];
    if (s->ending[sender]) {
        s->ending[sender] = 0;
        t->group_end[g] = s->now;
        t->send_busy[sender] += s->now - t->group_begin[g];
        s->at_group[sender]++;
        if (s->stage == NOC_WHEN_READY)
            for (int32_t i = t->feed_start[g]; i < t->feed_start[g + 1]; i++) noc_less(s, t->feed_group[i]);
        noc_begin_group(s, sender);
    } else if (s->buffer[t->lanes + sender].count < t->inject) {
        noc_inject(s, sender, s->now);
    } else {
        s->stalled[sender] = 0;
        s->core_since[t->cores + sender] = s->now;
    }
}

static void noc_resume(noc_state *s, int32_t sender) {
    if (s->stalled[sender] < 0 || s->buffer[s->t->lanes + sender].count >= s->t->inject) return;
    int64_t since = s->core_since[s->t->cores + sender];
    s->stalled[sender] = -1;
    s->t->send_stall[sender] += s->now - since;
    noc_inject(s, sender, since);
}

/* A core is through with a packet. */
static void noc_finish(noc_state *s, int32_t c) {
    noc_tables *t = s->t;
    int32_t k = s->in_service[c];
    noc_copy done = s->copy[k];
    noc_count_core(s, c, noc_at_core(s, c));
    noc_drop_copy(s, k);
    s->in_service[c] = -1;
    if (t->created) {
        t->created[t->deliveries] = done.created;
        t->arrived[t->deliveries] = done.arrived;
        t->finished[t->deliveries] = s->now;
    }
    t->deliveries++;
    t->receive_last[c] = s->now;
    s->in_flight--;
    if (s->core_queue[c].count) noc_serve(s, c, noc_take_copy(s, &s->core_queue[c]));
    if (s->core_wait[c].count) NOC_LOOK_CORE(s, c);
    if (s->stage != NOC_WHEN_READY) return;
    int32_t arrival = t->work_arrival[done.work];
    for (int32_t i = t->arrival_start[arrival]; i < t->arrival_start[arrival + 1]; i++) noc_less(s, t->arrival_group[i]);
}

static void noc_arrive(noc_state *s, int32_t link) {
    int32_t k = s->on_link[link], lane = s->t->node_lane[s->copy[k].node];
    s->on_link[link] = -1;
    noc_append_copy(s, &s->buffer[lane], k);
    if (s->buffer[lane].count == 1) noc_look(s, lane);
    if (s->link_wait[link].count) NOC_LOOK_LINK(s, link);
}

static void noc_settle(noc_state *s) {
    const noc_tables *t = s->t;
    while (s->todo_count && !s->failed) {
        int32_t item = s->todo[s->todo_head];
        s->todo_head = s->todo_head + 1 == s->todo_size ? 0 : s->todo_head + 1;
        s->todo_count--;
        s->in_todo[item] = 0;
        if (item < t->lanes + t->senders) {
            noc_issue(s, item);
            continue;
        }
        item -= t->lanes + t->senders;
        if (item < t->links) noc_try_link(s, item);
        else if (item < t->links + t->cores) noc_try_core(s, item - t->links);
        else noc_resume(s, item - t->links - t->cores);
    }
}

/* --------------------------------------------------------------------------------------------------------- a run */

static void noc_close(noc_state *s) {
    void *owned[] = {s->heap, s->copy, s->request, s->buffer, s->place, s->link_wait, s->on_link, s->core_queue,
                     s->core_wait, s->in_service, s->core_since, s->at_group, s->at_unit, s->at_packet, s->ending,
                     s->stalled, s->waiting, s->pending, s->todo, s->in_todo};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) free(owned[i]);
}

static int noc_open(noc_state *s, noc_tables *t, int stage) {
    memset(s, 0, sizeof *s);
    s->t = t, s->stage = stage, s->free_copy = s->free_request = -1;
    size_t links = t->links + 1, lanes = t->lanes + 1, cores = t->cores + 1, senders = t->senders + 1;
    s->todo_size = t->lanes + t->links + t->cores + 2 * t->senders + 1;
    int good = 1;
#define NOC_ROOM(field, n) good &= (s->field = calloc((n), sizeof *s->field)) != NULL
    NOC_ROOM(heap, links + cores + senders);
    NOC_ROOM(buffer, lanes + senders);
    NOC_ROOM(place, lanes);
    NOC_ROOM(link_wait, links);
    NOC_ROOM(on_link, links);
    NOC_ROOM(core_queue, cores);
    NOC_ROOM(core_wait, cores);
    NOC_ROOM(in_service, cores);
    NOC_ROOM(core_since, cores + senders);
    NOC_ROOM(at_group, senders);
    NOC_ROOM(at_unit, senders);
    NOC_ROOM(at_packet, senders);
    NOC_ROOM(ending, senders);
    NOC_ROOM(stalled, senders);
    NOC_ROOM(waiting, senders);
    NOC_ROOM(pending, (size_t)t->groups + 1);
    NOC_ROOM(todo, s->todo_size);
    NOC_ROOM(in_todo, s->todo_size);
#undef NOC_ROOM
    if (!good) return 0;
    noc_drop_copy(s, noc_new_copy(s));
    noc_request *first = NULL;
    int32_t r = noc_new_request(s);
    if (s->failed) return 0;
    first = &s->request[r], first->next = s->free_request, s->free_request = r;
    memset(s->on_link, -1, links * sizeof *s->on_link);
    memset(s->in_service, -1, cores * sizeof *s->in_service);
    memset(s->stalled, -1, senders * sizeof *s->stalled);
    memset(s->waiting, -1, senders * sizeof *s->waiting);
    for (int32_t g = 0; g < t->groups; g++) s->pending[g] = t->feeds[g];
    for (int32_t c = 0; c < t->cores; c++) t->receive_first[c] = t->receive_last[c] = -1;
    return 1;
}

/* Run one stage (or everything, see the enum) from time 0; returns the time of the last event, or an error. */
static int64_t noc_run(noc_tables *t, int stage) {
    noc_state state, *s = &state;
    int64_t end = NOC_NO_MEMORY;
    if (noc_open(s, t, stage)) {
        for (int32_t i = 0; i < t->senders; i++) {
            s->at_group[i] = t->sender_group[i];
            noc_begin_group(s, i);
        }
        while (s->heap_size && !s->failed) {
            noc_event e = noc_next(s);
            s->now = e.time;
            t->events++;
            if (e.what < t->links) noc_arrive(s, e.what);
            else if (e.what < t->links + t->cores) noc_finish(s, e.what - t->links);
            else noc_send(s, e.what - t->links - t->cores);
            noc_settle(s);
        }
        int stuck = s->in_flight != 0;
        for (int32_t i = 0; i < t->senders; i++) stuck |= s->at_group[i] < t->sender_group[i + 1];
        end = s->failed ? NOC_NO_MEMORY : stuck ? NOC_DEADLOCK : s->now;
    }
    noc_close(s);
    return end;
}

#endif
