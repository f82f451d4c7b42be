package import Foundation
import KVBase
import KVModel

extension AdminDocument {
  /// A question about many objects.
  package struct Fold: Codable, Hashable, Sendable {
    /// What is asked or done.
    package enum Kind: String, Codable, CaseIterable, Sendable {
      /// How many objects, their sizes and siblings.
      case statistics
      /// Objects with more siblings than `moreThan`.
      case siblings
      /// Objects of more bytes than `moreThan`.
      case size
      /// Objects that are tombstones only.
      case tombstones
      /// Read every object from all replicas, so that they are repaired.
      case repair
      /// Delete every object.
      case erase
    }

    package var kind: Kind
    package var type: String?
    package var bucket: String?
    package var from: String?
    package var through: String?
    package var moreThan: Int?
    package var modifiedFrom: Date?
    package var modifiedThrough: Date?

    /// A question about all objects.
    package init(kind: Kind) { self.kind = kind }
  }

  /// The answer to a fold.
  package struct FoldAnswer: Codable, Hashable, Sendable {
    package var count: Int
    package var bytes: Int
    /// Objects by the number of decimal digits of their size.
    package var sizes: [String: Int]
    /// Objects by their number of siblings.
    package var siblings: [String: Int]
    package var found: [Found]
    /// True when more objects fit than are named; ask again from the last one's key on.
    package var truncated: Bool
    /// Objects repaired or erased.
    package var changed: Int?

    /// An object that fits.
    package struct Found: Codable, Hashable, Sendable {
      package var type: String
      package var bucket: String
      package var key: String
      package var value: Int
    }
  }
}

extension AdminDocument.Fold {
  /// True when objects are to be changed.
  var changes: Bool { kind == .repair || kind == .erase }

  /// The question; nil when something that it needs is missing.
  var query: FoldQuery? {
    let kind: FoldQuery.Kind
    switch self.kind {
    case .statistics: kind = .statistics
    case .siblings: kind = .siblings(moreThan: max(0, moreThan ?? 1))
    case .size: kind = .size(moreThan: max(0, moreThan ?? 1 << 20))
    case .tombstones: kind = .tombstones
    case .repair, .erase:
      // Nobody changes everything by leaving something out.
      guard bucket != nil else { return nil }
      kind = .live
    }
    guard bucket != nil || (from == nil && through == nil && type == nil) else { return nil }
    var query = FoldQuery(kind)
    query.bucket = bucket.map { name in
      BucketID(type: Bytes((type ?? "default").utf8), name: Bytes(name.utf8))
    }
    query.from = from.map { Bytes($0.utf8) }
    query.through = through.map { Bytes($0.utf8) }
    query.modifiedFrom = modifiedFrom.map(WallClock.init)
    query.modifiedThrough = modifiedThrough.map(WallClock.init)
    return query
  }
}

extension WallClock {
  fileprivate init(_ date: Date) {
    self.init(microseconds: UInt64(max(0, min(date.timeIntervalSince1970, 1e12))) * 1_000_000)
  }
}

extension AdminDocument.FoldAnswer {
  init(_ result: FoldResult, _ query: FoldQuery) {
    func classes(_ list: [Int]) -> [String: Int] {
      Dictionary(
        uniqueKeysWithValues: list.enumerated().filter { $0.element > 0 }.map {
          ("\($0.offset)", $0.element)
        })
    }
    func text(_ bytes: Bytes) -> String { String(decoding: bytes, as: UTF8.self) }
    count = result.count
    bytes = result.byteCount
    sizes = classes(result.sizes)
    siblings = classes(result.siblings)
    found = result.found.map {
      Found(
        type: text($0.key.bucket.type), bucket: text($0.key.bucket.name), key: text($0.key.key),
        value: $0.value)
    }
    truncated = result.isTruncated(query)
  }
}
