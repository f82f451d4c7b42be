import KVBase
import KVCluster
import KVModel

/// Five nodes, a ring of 8 and one key, for tests of coordinators.
struct CoordinatorFixture {
  let key = ObjectKey(bucket: "b", key: "k")
  var view: ClusterView

  init(nodes: Int = 5, down: [Int] = [], properties: BucketProperties = BucketProperties()) {
    let members = (0..<nodes).map { index in
      Member(
        name: "n\(index)", endpoint: Endpoint(host: "h", port: 1),
        clientEndpoint: Endpoint(host: "h", port: 2), shardCount: 1, status: .valid)
    }
    view = ClusterView(local: members[nodes - 1], ringSize: 8)
    view.members = members.sorted { $0.id < $1.id }
    let first = view.ring.firstPartition(of: key).index
    // The key's preference list is n0, n1, n2, and the fallbacks after it n3, n4.
    view.ring = Ring(
      owners: (0..<8).map { members[(($0 - first + 8) % 8) % nodes].id })
    view.properties = [ClusterView.BucketEntry(bucket: key.bucket, properties: properties)]
    setDown(down)
  }

  mutating func setDown(_ nodes: [Int]) { view.unavailable = nodes.map(node).sorted() }

  func node(_ index: Int) -> NodeID { NodeID(name: "n\(index)") }

  /// The partition at the position in the preference list.
  func partition(_ position: Int) -> PartitionID {
    view.ring.preferencePartitions(of: key, n: 8)[position]
  }

  static func object(_ value: String, _ actor: UInt64 = 1, after: KVObject = KVObject()) -> KVObject
  {
    var object = after
    object.write(
      Content(value: Bytes(value.utf8), lastModified: WallClock(microseconds: actor)),
      context: after.clock, by: VnodeID(rawValue: actor))
    return object
  }
}

extension KVObject {
  var whole: ReplicaReading { .whole(encoded().bytes) }

  var head: ReplicaReading {
    let (bytes, count) = encoded()
    return .head(Bytes(bytes.prefix(count)))
  }
}
