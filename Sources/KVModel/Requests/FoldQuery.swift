public import KVBase

/// A question about many objects that their heads answer, without a value being read.
///
/// **Source**: reference section 5.7, the AAE folds.
public struct FoldQuery: Hashable, Sendable {
  /// What is asked.
  public enum Kind: Hashable, Sendable {
    /// How many objects there are, their sizes and numbers of siblings; tombstones too.
    case statistics
    /// The objects with more siblings than this.
    case siblings(moreThan: Int)
    /// The objects of more bytes than this.
    case size(moreThan: Int)
    /// The objects that are nothing but tombstones, with their clocks.
    case tombstones
    /// The objects that are not, with their clocks.
    case live
  }

  /// The most objects that an answer names.
  public static let foundLimit = 10_000

  /// What is asked.
  public var kind: Kind
  /// Of this bucket only; nil for all.
  public var bucket: BucketID?
  /// From this key on; nil from the first.
  public var from: Bytes?
  /// Up to this key; nil to the last.
  public var through: Bytes?
  /// Changed at this time or later.
  public var modifiedFrom: WallClock?
  /// Changed at this time or before.
  public var modifiedThrough: WallClock?

  /// A question about all objects.
  public init(_ kind: Kind) { self.kind = kind }

  /// True when the object is among those asked about.
  public func includes(_ key: ObjectKey, _ object: KVObject) -> Bool {
    if let bucket, key.bucket != bucket { return false }
    if let from, key.key.lexicographicallyPrecedes(from) { return false }
    if let through, through.lexicographicallyPrecedes(key.key) { return false }
    guard modifiedFrom != nil || modifiedThrough != nil else { return true }
    let time = object.siblings.map(\.content.lastModified).max() ?? WallClock(microseconds: 0)
    return (modifiedFrom ?? time) <= time && time <= (modifiedThrough ?? time)
  }
}

/// The answer to a ``FoldQuery``, or a part of it.
public struct FoldResult: Hashable, Sendable {
  /// An object that fits the question.
  public struct Found: Hashable, Sendable {
    /// Its name.
    public var key: ObjectKey
    /// The number asked about: siblings or bytes.
    public var value: Int
    /// The events it has seen.
    public var clock: VersionVector

    /// The object `key`.
    public init(key: ObjectKey, value: Int, clock: VersionVector) {
      self.key = key
      self.value = value
      self.clock = clock
    }
  }

  /// Objects that fit the question.
  public var count = 0
  /// Bytes of them, encoded.
  public var byteCount = 0
  /// How many have a size of n decimal digits, for n from 0.
  public var sizes: [Int] = []
  /// How many have n siblings, for n from 0; the last number stands for more, too.
  public var siblings: [Int] = []
  /// The first of them by name, at most ``FoldQuery/foundLimit``.
  public var found: [Found] = []

  /// No object.
  public init() {}

  /// True when ``found`` lacks some that fit.
  public func isTruncated(_ query: FoldQuery) -> Bool {
    query.kind != .statistics && found.count < count
  }

  private static let siblingLimit = 100

  /// Counts an object if it fits.
  public mutating func add(
    _ key: ObjectKey, _ object: KVObject, byteCount size: Int, to query: FoldQuery
  ) {
    guard query.includes(key, object) else { return }
    let value: Int
    switch query.kind {
    case .statistics:
      Self.increment(&sizes, at: String(size).utf8.count)
      Self.increment(&siblings, at: min(Self.siblingLimit, object.siblings.count))
      count += 1
      byteCount += size
      return
    case .siblings(let limit):
      value = object.siblings.count
      guard value > limit else { return }
    case .size(let limit):
      value = size
      guard value > limit else { return }
    case .tombstones, .live:
      value = size
      guard object.isDeleted == (query.kind == .tombstones) else { return }
    }
    count += 1
    byteCount += size
    found.append(Found(key: key, value: value, clock: object.clock))
  }

  /// Adds the answer about other objects.
  public mutating func merge(_ other: FoldResult) {
    count += other.count
    byteCount += other.byteCount
    for (index, number) in other.sizes.enumerated() {
      Self.increment(&sizes, at: index, by: number)
    }
    for (index, number) in other.siblings.enumerated() {
      Self.increment(&siblings, at: index, by: number)
    }
    guard !other.found.isEmpty else { return }
    found = Array(
      (found + other.found).sorted { $0.key < $1.key }.prefix(FoldQuery.foundLimit))
  }

  private static func increment(_ list: inout [Int], at index: Int, by number: Int = 1) {
    while list.count <= index { list.append(0) }
    list[index] += number
  }
}
