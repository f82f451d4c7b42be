public import KVBase

/// A hash tree of two levels over the objects of one group in one vnode.
///
/// A leaf is the XOR of the hashes of the objects that fall into it, a branch the XOR of its leaves.
/// So a change of an object is two XORs, the order of changes does not matter, and the trees of
/// disjoint sets merge by XOR. Two trees are equal when their objects are, and differ otherwise but
/// for a chance of 2^-64 per leaf; nothing guards them against someone who looks for collisions.
///
/// Memory is 2 KiB per branch that has ever had an object, 514 KiB at most.
///
/// **Source**: Merkle, *A Digital Signature Based on a Conventional Encryption Function* (1987);
/// Dynamo (SOSP 2007) §4.7; Riak's TicTac trees, reference section 5.4.
public struct HashTree: Equatable, Sendable {
  /// The number of branches.
  public static let branchCount = 256
  /// The leaves of one branch.
  public static let leavesPerBranch = 256

  /// The hash of each branch.
  public private(set) var branchHashes = [UInt64](repeating: 0, count: branchCount)
  /// The leaves of each branch; empty while all of them are zero.
  private var branches = [[UInt64]](repeating: [], count: branchCount)

  /// The tree of no objects.
  public init() {}

  /// True when it is the tree of no objects.
  public var isEmpty: Bool { branchHashes.allSatisfy { $0 == 0 } && branches.allSatisfy(\.isZero) }

  /// Bytes of memory that the leaves take.
  public var byteCount: Int { branches.reduce(Self.branchCount * 8) { $0 + $1.count * 8 } }

  /// Adds an object's hash to a leaf, or takes it away again.
  public mutating func toggle(_ hash: UInt64, in leaf: LeafID) {
    if branches[leaf.branch].isEmpty {
      branches[leaf.branch] = [UInt64](repeating: 0, count: Self.leavesPerBranch)
    }
    branches[leaf.branch][leaf.position] ^= hash
    branchHashes[leaf.branch] ^= hash
  }

  /// The leaves of a branch, in order.
  public func leaves(of branch: Int) -> [UInt64] {
    branches[branch].isEmpty
      ? [UInt64](repeating: 0, count: Self.leavesPerBranch) : branches[branch]
  }

  /// True when all leaves are equal.
  public static func == (a: HashTree, b: HashTree) -> Bool {
    a.branchHashes == b.branchHashes
      && (0..<branchCount).allSatisfy { a.leaves(of: $0) == b.leaves(of: $0) }
  }

  /// Adds the objects of a tree that has none in common with this one.
  public mutating func merge(_ other: HashTree) {
    for branch in 0..<Self.branchCount where !other.branches[branch].isEmpty {
      for (position, hash) in other.branches[branch].enumerated() where hash != 0 {
        toggle(hash, in: LeafID(branch: branch, position: position))
      }
    }
  }

  /// The branches in which the hashes differ from those given, in order.
  public func branches(differingFrom hashes: [UInt64]) -> [Int] {
    zip(branchHashes, hashes).enumerated().filter { $1.0 != $1.1 }.map(\.offset)
  }
}

/// A leaf of a ``HashTree``.
public struct LeafID: Hashable, Sendable {
  /// The number of leaves in a tree.
  public static let count = HashTree.branchCount * HashTree.leavesPerBranch

  /// The leaf's number, from 0.
  public var index: Int

  /// The leaf that objects of the name's hash fall into.
  public init(nameHash: UInt64) { index = Int(nameHash % UInt64(Self.count)) }

  /// The leaf at a position of a branch.
  public init(branch: Int, position: Int) {
    index = branch * HashTree.leavesPerBranch + position
  }

  /// The branch it belongs to.
  public var branch: Int { index / HashTree.leavesPerBranch }

  /// Where it is in its branch.
  public var position: Int { index % HashTree.leavesPerBranch }
}

/// A set of leaves, 8 KiB at most.
public struct LeafSet: Hashable, Sendable {
  private static let wordCount = LeafID.count / 64
  /// One bit per leaf; empty stands for no leaf.
  private var words: [UInt64] = []

  /// No leaves.
  public init() {}

  /// Every leaf.
  public static let all: LeafSet = {
    var set = LeafSet()
    set.words = [UInt64](repeating: .max, count: wordCount)
    return set
  }()

  /// True when there is no leaf in it.
  public var isEmpty: Bool { words.allSatisfy { $0 == 0 } }

  /// The number of leaves.
  public var count: Int { words.reduce(0) { $0 + $1.nonzeroBitCount } }

  /// Adds a leaf.
  public mutating func insert(_ leaf: LeafID) {
    if words.isEmpty { words = [UInt64](repeating: 0, count: Self.wordCount) }
    words[leaf.index / 64] |= 1 << UInt64(leaf.index % 64)
  }

  /// True when the leaf is in it.
  public func contains(_ leaf: LeafID) -> Bool {
    !words.isEmpty && words[leaf.index / 64] & 1 << UInt64(leaf.index % 64) != 0
  }

  /// The branches that have a leaf in it, in order.
  public var branches: [Int] {
    guard !words.isEmpty else { return [] }
    let perBranch = HashTree.leavesPerBranch / 64
    return (0..<HashTree.branchCount).filter { branch in
      words[branch * perBranch..<(branch + 1) * perBranch].contains { $0 != 0 }
    }
  }

  /// Appends the leaves' numbers, or a bit for each leaf when that is shorter.
  func encode(into writer: inout ByteWriter) {
    let count = count
    let isList = count < LeafID.count / 16
    writer.write(isList)
    guard isList else {
      for word in words { writer.write(fixed: word) }
      return
    }
    writer.write(count: count)
    for (index, word) in words.enumerated() {
      var rest = word
      while rest != 0 {
        writer.write(fixed: UInt16(index * 64 + rest.trailingZeroBitCount))
        rest &= rest - 1
      }
    }
  }

  /// Reads what ``encode(into:)`` wrote.
  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    if try reader.readBool() {
      let leaves = try reader.readList(minimumBytes: 2) { (r) throws(DecodingFailure) in
        LeafID(nameHash: UInt64(try r.readFixed(UInt16.self)))
      }
      for leaf in leaves { insert(leaf) }
    } else {
      words = []
      for _ in 0..<Self.wordCount { words.append(try reader.readFixed()) }
    }
  }
}

extension [UInt64] {
  fileprivate var isZero: Bool { allSatisfy { $0 == 0 } }
}

// MARK: Encoding

extension HashTree {
  /// Appends, for each branch that is not zero, its number and its leaves that are not zero.
  public func encode(into writer: inout ByteWriter) {
    let used = (0..<Self.branchCount).filter { !branches[$0].isZero }
    writer.write(list: used) { writer, branch in
      writer.write(UInt8(branch))
      let leaves = branches[branch].enumerated().filter { $0.element != 0 }
      writer.write(list: leaves) { writer, leaf in
        writer.write(UInt8(leaf.offset))
        writer.write(fixed: leaf.element)
      }
    }
  }

  /// Reads what ``encode(into:)`` wrote.
  public init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    let count = try reader.readCount(minimumBytes: 2)
    for _ in 0..<count {
      let branch = Int(try reader.readByte())
      let leaves = try reader.readList(minimumBytes: 9) { (r) throws(DecodingFailure) in
        (position: Int(try r.readByte()), hash: try r.readFixed(UInt64.self))
      }
      for leaf in leaves {
        toggle(leaf.hash, in: LeafID(branch: branch, position: leaf.position))
      }
    }
  }
}
