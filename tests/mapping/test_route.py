"""Paths, trees and table entries, on hand-made cases and by their invariants."""

from __future__ import annotations

import networkx as nx
import pytest
from hypothesis import given, strategies as st

from gxevent.mapping.route import mesh_graph, path, table_entries, tree, unicast_links
from tests.mapping.conftest import chip


def test_x_then_y_by_hand():
    assert path(chip(4, 4), (0, 0), (2, 1)) == [(0, 0), (1, 0), (2, 0), (2, 1)]
    assert path(chip(5, 5, topology="torus"), (0, 0), (4, 3)) == [(0, 0), (4, 0), (4, 4), (4, 3)]
    assert path(chip(8, 8, topology="triangular"), (0, 0), (3, 2)) == [(0, 0), (1, 1), (2, 2), (3, 2)]


def test_a_tree_shares_what_its_paths_share():
    mesh = chip(4, 4)
    links = tree(mesh, (0, 0), [(2, 0), (2, 2), (3, 0)])
    assert sorted(links) == sorted(
        [((0, 0), (1, 0)), ((1, 0), (2, 0)), ((2, 0), (3, 0)), ((2, 0), (2, 1)), ((2, 1), (2, 2))]
    )
    assert len(list(unicast_links(mesh, (0, 0), [(2, 0), (2, 2), (3, 0)]))) == 2 + 4 + 3
    assert tree(mesh, (1, 1), [(1, 1)]) == []


def test_table_entries_by_hand():
    """Straight on needs none: an entry at the source, at the corner, at the end."""
    assert table_entries(chip(4, 4), [((0, 0), ((2, 2),))]) == {
        (0, 0): 1, (1, 0): 0, (2, 0): 1, (2, 1): 0, (2, 2): 1,
    }  # fmt: skip


places = st.tuples(st.integers(0, 4), st.integers(0, 5))


@given(st.sampled_from(["mesh", "torus", "triangular"]), places, st.sets(places, min_size=1, max_size=8))
def test_trees_reach_every_end_once_along_links_that_exist(topology, begin, ends):
    mesh = chip(5, 6, topology=topology)
    real = mesh_graph(mesh)
    links = tree(mesh, begin, ends)
    assert all(real.has_edge(*link) for link in links)
    made = nx.DiGraph(links)
    made.add_node(begin)
    assert nx.is_arborescence(made)
    assert ends <= set(made)
    shortest = nx.single_source_shortest_path_length(real, begin)
    assert all(len(path(mesh, begin, end)) - 1 == shortest[end] for end in ends)
    assert len(links) <= len(list(unicast_links(mesh, begin, ends)))


@pytest.mark.parametrize(("topology", "links"), [("mesh", 2 * (4 * 6 + 5 * 5)), ("torus", 4 * 30), ("triangular", 180)])
def test_mesh_graph_has_all_links(topology, links):
    assert mesh_graph(chip(5, 6, topology=topology)).number_of_edges() == links
