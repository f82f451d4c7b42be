public import KVBase

/// The identity under which one vnode counts its events.
///
/// A vnode that may have lost state takes a new identity, so that no two events ever share a dot.
public struct VnodeID: Hashable, Comparable, Sendable {
  /// The identity as it is stored and sent.
  public var rawValue: UInt64

  /// The identity with this stored value.
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// The order of the values.
  public static func < (a: VnodeID, b: VnodeID) -> Bool { a.rawValue < b.rawValue }
}

/// One event, the `counter`-th write of one key that `actor` coordinated.
///
/// Counters start at 1.
public struct Dot: Hashable, Comparable, Sendable {
  /// The vnode that coordinated the write.
  public var actor: VnodeID
  /// The position among that vnode's writes of this key.
  public var counter: UInt64

  /// The event `counter` of `actor`.
  public init(actor: VnodeID, counter: UInt64) {
    self.actor = actor
    self.counter = counter
  }

  /// The order of the values.
  public static func < (a: Dot, b: Dot) -> Bool {
    a.actor == b.actor ? a.counter < b.counter : a.actor < b.actor
  }
}

/// A set of events of one key in which each actor's events are 1 to its counter.
///
/// As a causal context it is what a client has seen; to clients it is opaque bytes.
///
/// **Invariants**: 1. entries are sorted by actor, one each; 2. counters are positive and at most
/// ``counterLimit``.
///
/// **Source**: Preguiça et al., *Dotted Version Vectors* (2012).
public struct VersionVector: Hashable, Sendable {
  /// No honest vnode reaches this many writes of one key; a larger counter is a forgery.
  public static let counterLimit: UInt64 = 1 << 48
  /// The most entries accepted from outside.
  public static let entryLimit = 1024

  /// Each actor's latest event, sorted by actor.
  public private(set) var entries: [Dot]

  /// The vector of no events.
  public init() { entries = [] }

  /// The vector that holds each dot and the events before it.
  public init(_ dots: some Sequence<Dot>) {
    entries = []
    for dot in dots { include(dot) }
  }

  /// True when there are no events.
  public var isEmpty: Bool { entries.isEmpty }

  /// The counter of `actor`'s latest event, 0 when there is none.
  ///
  /// Cost is O(log entries).
  public subscript(actor: VnodeID) -> UInt64 {
    let index = position(of: actor)
    return index < entries.count && entries[index].actor == actor ? entries[index].counter : 0
  }

  /// True when the event is in the set.
  public func contains(_ dot: Dot) -> Bool { dot.counter <= self[dot.actor] }

  /// True when every event of `other` is in this set.
  public func descends(_ other: VersionVector) -> Bool { other.entries.allSatisfy(contains) }

  /// Adds the event and all before it of the same actor.
  public mutating func include(_ dot: Dot) {
    guard dot.counter > 0 else { return }
    let index = position(of: dot.actor)
    if index < entries.count, entries[index].actor == dot.actor {
      entries[index].counter = max(entries[index].counter, dot.counter)
    } else {
      entries.insert(dot, at: index)
    }
  }

  /// The events of both sets.
  public func merging(_ other: VersionVector) -> VersionVector {
    var result = self
    for dot in other.entries { result.include(dot) }
    return result
  }

  /// The same events, but of `actor` none beyond `counter`.
  public func capping(_ actor: VnodeID, at counter: UInt64) -> VersionVector {
    guard self[actor] > counter else { return self }
    var result = self
    let index = position(of: actor)
    if counter == 0 {
      result.entries.remove(at: index)
    } else {
      result.entries[index].counter = counter
    }
    return result
  }

  private func position(of actor: VnodeID) -> Int {
    var low = 0
    var high = entries.count
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].actor < actor { low = middle + 1 } else { high = middle }
    }
    return low
  }
}

extension VersionVector {
  /// Appends the entries, 16 bytes each after a count.
  public func encode(into writer: inout ByteWriter) {
    writer.write(list: entries) { writer, dot in dot.encode(into: &writer) }
  }

  /// Reads entries and demands the invariants of them.
  public init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    let dots = try reader.readList(minimumBytes: 16) { (r) throws(DecodingFailure) in
      try Dot(decoding: &r)
    }
    guard dots.count <= Self.entryLimit else {
      throw reader.failure(expected: "at most \(Self.entryLimit) version vector entries")
    }
    for (a, b) in zip(dots, dots.dropFirst()) where a.actor >= b.actor {
      throw reader.failure(expected: "version vector entries sorted by actor")
    }
    entries = dots
  }

  /// The bytes handed to clients: a format version (1), the entries, and a CRC32C of both.
  public var clientBytes: Bytes {
    var writer = ByteWriter()
    writer.write(UInt8(1))
    encode(into: &writer)
    writer.write(fixed: CRC32C.checksum(writer.bytes))
    return writer.bytes
  }

  /// Reads back ``clientBytes``; anything else (cut, forged at random, another system's) is refused.
  public init(clientBytes: Bytes) throws(DecodingFailure) {
    guard clientBytes.count >= 6 else {
      throw DecodingFailure(expected: "a causal context of at least 6 bytes", offset: 0)
    }
    let body = clientBytes.dropLast(4)
    var reader = ByteReader(clientBytes)
    guard try reader.readByte() == 1 else {
      throw DecodingFailure(expected: "causal context version 1", offset: 0)
    }
    self = try VersionVector(decoding: &reader)
    guard try reader.readFixed(UInt32.self) == CRC32C.checksum(body) else {
      throw DecodingFailure(
        expected: "a causal context with a matching checksum", offset: body.count)
    }
    try reader.expectEnd()
  }
}

extension Dot {
  /// Appends actor and counter, 8 bytes each.
  public func encode(into writer: inout ByteWriter) {
    writer.write(fixed: actor.rawValue)
    writer.write(fixed: counter)
  }

  /// Reads a dot with a counter between 1 and the limit.
  public init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    let actor = VnodeID(rawValue: try reader.readFixed())
    let counter = try reader.readFixed(UInt64.self)
    guard counter > 0, counter <= VersionVector.counterLimit else {
      throw reader.failure(expected: "a counter of 1 to 2^48, not \(counter)")
    }
    self.init(actor: actor, counter: counter)
  }
}
