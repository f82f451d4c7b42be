import KVCluster
import KVModel
import Testing

@Suite struct PreferenceListTests {
  /// The key's partitions and those after them belong to these nodes.
  private func fixture(_ order: [Int], down: [Int]) -> CoordinatorFixture {
    var fixture = CoordinatorFixture(down: down)
    var owners = fixture.view.ring.owners
    let first = fixture.view.ring.firstPartition(of: fixture.key).index
    for (position, node) in order.enumerated() {
      owners[(first + position) % owners.count] = fixture.node(node)
    }
    fixture.view.ring = Ring(owners: owners)
    return fixture
  }

  @Test func `a fallback takes no part yet, as long as there is such a node`() {
    var fixture = fixture([0, 1, 2, 0, 3, 3, 0, 1], down: [1])
    var list = fixture.view.preferenceList(for: fixture.key, n: 3, sloppy: true)
    #expect(list.map(\.node) == [0, 2, 3].map(fixture.node))
    #expect(list.map(\.role) == [.primary, .primary, .fallback])
    #expect(list.last?.partition == fixture.partition(1))
    // A second copy on a node that has one is better than none.
    fixture.setDown([1, 3])
    list = fixture.view.preferenceList(for: fixture.key, n: 3, sloppy: true)
    #expect(list.map(\.node) == [0, 2, 0].map(fixture.node))
  }
}
