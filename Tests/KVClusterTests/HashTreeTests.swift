import KVBase
import KVCluster
import KVModel
import Testing

@Suite struct HashTreeTests {
  private struct Item {
    var nameHash: UInt64
    var hash: UInt64
  }

  private func items(_ count: Int, seed: UInt64) -> [Item] {
    var random = SeededRandom(seed: seed)
    return (0..<count).map { _ in Item(nameHash: random.next(), hash: random.next()) }
  }

  private func tree(_ items: [Item]) -> HashTree {
    var tree = HashTree()
    for item in items { tree.toggle(item.hash, in: LeafID(nameHash: item.nameHash)) }
    return tree
  }

  @Test func `the order of changes does not matter and what is taken away leaves no trace`() {
    var random = SeededRandom(seed: 1)
    for seed in 1...20 {
      let kept = items(200, seed: UInt64(seed))
      let gone = items(100, seed: UInt64(seed) + 1000)
      let changes = (kept + gone + gone).shuffled(using: &random)
      #expect(tree(changes) == tree(kept))
    }
    #expect(tree([]).isEmpty)
  }

  @Test func `trees of disjoint sets merge into the tree of both`() {
    let all = items(500, seed: 3)
    var merged = tree(Array(all[..<200]))
    merged.merge(tree(Array(all[200...])))
    #expect(merged == tree(all))
  }

  @Test func `one different object shows in one branch and one leaf`() {
    let all = items(5_000, seed: 4)
    let (mine, other) = (tree(all), tree(Array(all.dropLast())))
    let leaf = LeafID(nameHash: all[4_999].nameHash)
    #expect(mine.branches(differingFrom: other.branchHashes) == [leaf.branch])
    let differing = zip(mine.leaves(of: leaf.branch), other.leaves(of: leaf.branch))
      .enumerated().filter { $0.element.0 != $0.element.1 }.map(\.offset)
    #expect(differing == [leaf.position])
  }

  @Test func `a tree survives its encoding and damage to it does no more than fail or change it`()
    throws
  {
    let tree = tree(items(300, seed: 5))
    var writer = ByteWriter()
    tree.encode(into: &writer)
    var reader = ByteReader(writer.bytes)
    #expect(try HashTree(decoding: &reader) == tree)
    try reader.expectEnd()
    var random = SeededRandom(seed: 6)
    for _ in 0..<300 {
      var damaged = Bytes(writer.bytes.prefix(random.below(writer.count + 1)))
      if !damaged.isEmpty { damaged[random.below(damaged.count)] = UInt8(random.below(256)) }
      var reader = ByteReader(damaged)
      _ = try? HashTree(decoding: &reader)
    }
  }

  @Test func `memory grows with the branches used, up to half a megabyte`() {
    #expect(HashTree().byteCount == 2048)
    #expect(tree(items(1, seed: 7)).byteCount == 4096)
    #expect(tree(items(20_000, seed: 8)).byteCount == 2048 + 65_536 * 8)
  }

  @Test func `a set of leaves knows its branches`() {
    var leaves = LeafSet()
    #expect(leaves.isEmpty && leaves.branches.isEmpty)
    for branch in [3, 7, 7, 255] { leaves.insert(LeafID(branch: branch, position: 9)) }
    #expect(leaves.count == 3)
    #expect(leaves.branches == [3, 7, 255])
    #expect(leaves.contains(LeafID(branch: 7, position: 9)))
    #expect(!leaves.contains(LeafID(branch: 7, position: 8)))
    #expect(LeafSet.all.count == LeafID.count)
  }
}

@Suite struct KeyPlacementTests {
  private func view(_ properties: [(BucketID, Int)]) -> ClusterView {
    let member = Member(
      name: "n@h", endpoint: Endpoint(host: "h", port: 1),
      clientEndpoint: Endpoint(host: "h", port: 2), shardCount: 1, status: .valid)
    var view = ClusterView(local: member, ringSize: 16)
    view.properties = properties.sorted { $0.0 < $1.0 }.map { bucket, nVal in
      var properties = BucketProperties()
      properties.nVal = nVal
      return ClusterView.BucketEntry(bucket: bucket, properties: properties)
    }
    return view
  }

  private let type = BucketID(type: Bytes("t".utf8), name: [])
  private let typed = BucketID(type: Bytes("t".utf8), name: Bytes("b".utf8))
  private let plain = BucketID(name: Bytes("p".utf8))

  @Test func `n_val is a bucket's own, its type's or the default`() {
    let views = [
      view([]), view([(plain, 5)]), view([(type, 2)]), view([(type, 2), (typed, 3)]),
      view([(type, 2), (typed, 2), (plain, 3)]), view([(typed, 1)]),
    ]
    for view in views {
      let placement = KeyPlacement(view)
      for bucket in [type, typed, plain, BucketID(name: [1])] {
        #expect(placement.nVal(of: bucket) == view.properties(of: bucket).nVal)
        #expect(placement.nVals.contains(placement.nVal(of: bucket)))
      }
    }
  }

  @Test func `only what decides the group of a key changes the signature`() {
    let plainView = KeyPlacement(view([]))
    #expect(plainView.signature == KeyPlacement(view([(plain, 3), (type, 3)])).signature)
    #expect(plainView.signature != KeyPlacement(view([(plain, 4)])).signature)
  }

  @Test func `the groups of a partition are those whose keys it holds`() {
    let view = view([(plain, 5)])
    let placement = KeyPlacement(view)
    for index in 0..<500 {
      let bucket = index % 2 == 0 ? plain : BucketID(name: [1])
      let key = ObjectKey(bucket: bucket, key: Bytes("k\(index)".utf8))
      let group = placement.group(of: key)
      let holders = view.ring.preferencePartitions(of: key, n: placement.nVal(of: bucket))
      #expect(group.partitions(ringSize: 16) == holders)
      for partition in 0..<16 {
        let holds = holders.contains(PartitionID(partition))
        #expect(group.includes(PartitionID(partition), ringSize: 16) == holds)
        #expect(placement.groups(of: PartitionID(partition)).contains(group) == holds)
      }
    }
  }

  @Test func `an object's hash follows from its head alone`() {
    var object = KVObject()
    object.write(
      Content(value: [1, 2, 3]), context: VersionVector(), by: VnodeID(rawValue: 1))
    let (encoded, headByteCount) = object.encoded()
    let name = ObjectHash.name(ObjectKey(bucket: "b", key: "k"))
    let hash = ObjectHash.object(encoded, nameHash: name)
    #expect(ObjectHash.object(Bytes(encoded.prefix(headByteCount)), nameHash: name) == hash)
    object.write(Content(value: [1, 2, 3]), context: object.clock, by: VnodeID(rawValue: 1))
    #expect(ObjectHash.object(object.encoded().bytes, nameHash: name) != hash)
    #expect(ObjectHash.object([], nameHash: name) != hash)
  }
}
