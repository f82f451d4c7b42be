public import KVBase
public import KVModel

/// What vnodes say to each other to find and repair differences.
///
/// **On the wire**: Docs/Protocols.md, "Anti-entropy".
public enum EntropyMessage: Hashable, Sendable {
  /// To a vnode: one question of an exchange.
  case request(EntropyRequest)
  /// From a vnode: the answer.
  case reply(EntropyReply)
  /// To a vnode: count or find objects.
  case fold(FoldRequest)
  /// From a vnode: a page of what it found.
  case foldReply(FoldReply)
}

/// One question of an exchange, or objects for the vnode asked.
public struct EntropyRequest: Hashable, Sendable {
  /// The exchange, at the shard that asks.
  public var operation: OperationID
  /// Counts the questions of the exchange.
  public var number: UInt32
  /// The vnode asked.
  public var partition: PartitionID
  /// The group compared.
  public var group: TreeGroup
  /// The asker's ``KeyPlacement/signature``.
  public var signature: UInt64
  /// What is asked.
  public var question: EntropyQuestion

  /// The question `number` of an exchange.
  public init(
    operation: OperationID, number: UInt32, partition: PartitionID, group: TreeGroup,
    signature: UInt64, question: EntropyQuestion
  ) {
    self.operation = operation
    self.number = number
    self.partition = partition
    self.group = group
    self.signature = signature
    self.question = question
  }
}

/// What an exchange asks.
public enum EntropyQuestion: Hashable, Sendable {
  /// The hashes of all branches.
  case root
  /// The leaves of these branches, at most ``EntropyLimits/branches`` of them.
  case leaves([UInt8])
  /// The objects in these leaves that follow the first key and do not follow the second.
  case entries(LeafSet, after: ObjectKey?, through: ObjectKey?)
  /// What is held of these keys now.
  case fetch([EntropyWanted])
  /// Objects to be merged.
  case push([ReplicaScan.Entry])
}

/// A key whose replicas differ.
public struct EntropyWanted: Hashable, Sendable {
  /// The key.
  public var key: ObjectKey
  /// Whether the object is wanted besides its hash.
  public var wantsObject: Bool

  /// The key, with or without its object.
  public init(key: ObjectKey, wantsObject: Bool) {
    self.key = key
    self.wantsObject = wantsObject
  }
}

/// The answer to a question.
public struct EntropyReply: Hashable, Sendable {
  /// The exchange.
  public var operation: OperationID
  /// The question.
  public var number: UInt32
  /// The answer.
  public var answer: EntropyAnswer

  /// The answer to question `number`.
  public init(operation: OperationID, number: UInt32, answer: EntropyAnswer) {
    self.operation = operation
    self.number = number
    self.answer = answer
  }
}

/// What a vnode answers.
public enum EntropyAnswer: Hashable, Sendable {
  /// Not now, and why.
  case refused(EntropyRefusal)
  /// The hashes of all branches.
  case root([UInt64])
  /// The leaves of each branch asked for.
  case leaves([[UInt64]])
  /// Objects in the leaves asked for.
  case entries(EntropyPage)
  /// What is held of the first keys asked for: of one at least.
  case found([EntropyFound])
  /// The objects pushed are durable; so many of them changed anything.
  case stored(changed: Int)
}

/// Why a vnode does not answer; the raw values are sent.
public enum EntropyRefusal: UInt8, Hashable, Sendable, CaseIterable {
  /// The partition is another node's.
  case notPrimary = 0
  /// The trees are still being built.
  case notBuilt = 1
  /// The nodes do not agree about ring size or bucket properties.
  case otherPlacement = 2
  /// As much as is allowed is being done for exchanges.
  case busy = 3
  /// The store cannot read or write what is needed.
  case storage = 4
}

/// Some of the objects of a group, in key order.
public struct EntropyPage: Hashable, Sendable {
  /// Keys, versions and hashes.
  public var entries: [EntropyEntry]
  /// The last key that the page covers; nil when it covers all that was asked.
  public var through: ObjectKey?

  /// The entries up to and including `through`.
  public init(entries: [EntropyEntry], through: ObjectKey?) {
    self.entries = entries
    self.through = through
  }
}

/// An object as it is compared.
public struct EntropyEntry: Hashable, Sendable {
  /// Its name.
  public var key: ObjectKey
  /// Its ``ObjectHash``.
  public var hash: UInt64
  /// The events it has seen.
  public var clock: VersionVector

  /// The object `key`.
  public init(key: ObjectKey, hash: UInt64, clock: VersionVector) {
    self.key = key
    self.hash = hash
    self.clock = clock
  }
}

/// What a vnode holds of a key.
public struct EntropyFound: Hashable, Sendable {
  /// The key.
  public var key: ObjectKey
  /// The object's hash; nil when there is none.
  public var hash: UInt64?
  /// The encoded object, when it was wanted and there is one.
  public var encoded: Bytes?

  /// What is held of `key`.
  public init(key: ObjectKey, hash: UInt64?, encoded: Bytes?) {
    self.key = key
    self.hash = hash
    self.encoded = encoded
  }
}

/// How much one message or step of an exchange may hold.
public enum EntropyLimits {
  /// The most branches whose leaves are asked for at once: 32 KiB.
  public static let branches = 16
  /// The most objects that a page goes through.
  public static let pageScans = 1000
  /// About the most bytes of heads that a page goes through.
  public static let pageBytes = 1 << 20
  /// The most keys that are fetched or pushed at once.
  public static let batchKeys = 64
  /// About the most bytes of objects in a message; one object may be larger.
  public static let batchBytes = 1 << 20
}
