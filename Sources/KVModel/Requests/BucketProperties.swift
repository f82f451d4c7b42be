public import KVBase

/// A commit hook or a module function, stored and returned for clients; nothing runs it.
public struct NamedFunction: Hashable, Sendable {
  /// The module, or nil for a hook given by name.
  public var module: Bytes?
  /// The function of the module, or the hook's name.
  public var function: Bytes

  /// The function `function` of `module`.
  public init(module: Bytes?, function: Bytes) {
    self.module = module
    self.function = function
  }
}

/// The properties of one bucket, complete.
///
/// **Source**: reference section 1.11.
public struct BucketProperties: Hashable, Sendable {
  /// The number of replicas (N), at least 1.
  public var nVal: Int = 3
  /// Whether concurrent writes are kept as siblings.
  public var allowMult: Bool
  /// Whether the later write simply replaces the earlier.
  public var lastWriteWins = false
  /// Replies a GET waits for.
  public var r: QuorumValue = .quorum
  /// Receipts a PUT waits for.
  public var w: QuorumValue = .quorum
  /// Durable copies a PUT waits for.
  public var dw: QuorumValue = .quorum
  /// Both, for deletes of old clients.
  public var rw: QuorumValue = .quorum
  /// Replies from primaries that a GET waits for.
  public var pr: QuorumValue = .count(0)
  /// Durable copies at primaries that a PUT waits for.
  public var pw: QuorumValue = .count(0)
  /// Different nodes that must take part.
  public var nodeConfirms: QuorumValue = .count(0)
  /// Whether a GET gives up once more than half of the replicas answered "not found".
  public var basicQuorum = false
  /// Whether "not found" counts towards R.
  public var notFoundOK = true
  /// Which replicas flush before they acknowledge.
  public var syncOnWrite: SyncOnWrite = .backend
  /// Hooks before a commit; stored only.
  public var precommit: [NamedFunction] = []
  /// Hooks after a commit; stored only.
  public var postcommit: [NamedFunction] = []
  /// Pruning settings, in seconds and entries; stored only.
  public var oldVclock = 86_400
  /// See ``oldVclock``.
  public var youngVclock = 20
  /// See ``oldVclock``.
  public var bigVclock = 50
  /// See ``oldVclock``.
  public var smallVclock = 50
  /// Properties that are stored and returned unchanged, by their name, sorted.
  public var opaque: [Pair] = []

  /// Whether writes are decided by consensus among the primaries and reads see the latest one.
  ///
  /// Settled when the bucket's type is created, like ``nVal`` then.
  public var isConsistent: Bool {
    get { opaque.contains { $0.key == Self.consistentName && $0.value == Self.isTrue } }
    set {
      opaque.removeAll { $0.key == Self.consistentName }
      opaque.append(Pair(key: Self.consistentName, value: newValue ? Self.isTrue : Self.isFalse))
      opaque.sort()
    }
  }

  private static let consistentName = Bytes("consistent".utf8)
  private static let isTrue = Bytes("true".utf8)
  private static let isFalse = Bytes("false".utf8)

  /// The defaults of an untyped bucket, or of a bucket of another type.
  public init(untyped: Bool = true) { allowMult = !untyped }
}

extension BucketProperties {
  /// The name under which ``secondsToLive`` is kept, stored and shown.
  public static let secondsToLiveName = Bytes("ttl".utf8)
  /// The longest time to live, a hundred years.
  public static let secondsToLiveLimit: UInt64 = 3_153_600_000

  /// How many seconds after its write a content expires; nil for never.
  ///
  /// It travels among the ``opaque`` properties, so that nodes that do not know it pass it on.
  public var secondsToLive: UInt64? {
    get {
      guard let text = opaque.first(where: { $0.key == Self.secondsToLiveName })?.value,
        let seconds = UInt64(String(decoding: text, as: UTF8.self)), seconds > 0
      else { return nil }
      return min(seconds, Self.secondsToLiveLimit)
    }
    set {
      opaque.removeAll { $0.key == Self.secondsToLiveName }
      if let newValue {
        opaque.append(Pair(key: Self.secondsToLiveName, value: Bytes("\(newValue)".utf8)))
        opaque.sort()
      }
    }
  }
}
