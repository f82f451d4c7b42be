public import KVBase

/// A question to a secondary index of one bucket: which objects have a term in a range.
///
/// **Source**: reference section 1.12.
public struct IndexQuery: Hashable, Sendable {
  /// The index whose terms are the keys of the bucket.
  public static let keyField = Bytes("$key".utf8)

  /// The bucket.
  public var bucket: BucketID
  /// The index's name, or ``keyField``.
  public var field: Bytes
  /// The smallest term, in the order of the index.
  public var lower: Bytes
  /// The largest term; nil for no limit.
  public var upper: Bytes?
  /// What terms must match besides.
  public var pattern: TermPattern?
  /// What entries must be besides, and what of them is told; never together with a pattern.
  public var filter: TermFilter?

  /// The objects of `bucket` whose `field` has a term from `lower` to `upper`.
  public init(
    bucket: BucketID, field: Bytes, lower: Bytes, upper: Bytes?, pattern: TermPattern? = nil
  ) {
    self.bucket = bucket
    self.field = field
    self.lower = lower
    self.upper = upper
    self.pattern = pattern
  }

  /// Looks at an entry in the range: the term that is told of it, nil when it is no hit, and about how
  /// many bytes were looked at.
  public func finding(_ entry: IndexEntry) -> (term: Bytes?, cost: Int) {
    if let filter {
      let finding = filter.finding(term: entry.term, key: entry.key)
      return (finding.term, finding.cost)
    }
    guard let pattern else { return (entry.term, entry.term.count) }
    let cost = entry.term.count * (1 + pattern.stepCount / 8)
    return (pattern.matches(entry.term) ? entry.term : nil, cost)
  }
}

/// One hit of an index query.
///
/// Hits are ordered by term and key.
public struct IndexEntry: Hashable, Comparable, Sendable {
  /// The term in the order of the index; for the index of keys the key.
  public var term: Bytes
  /// The object's key.
  public var key: Bytes

  /// The object `key` has `term`.
  public init(term: Bytes, key: Bytes) {
    self.term = term
    self.key = key
  }

  /// The order of the terms, then of the keys.
  public static func < (a: IndexEntry, b: IndexEntry) -> Bool {
    a.term == b.term
      ? a.key.lexicographicallyPrecedes(b.key) : a.term.lexicographicallyPrecedes(b.term)
  }
}

/// How terms are kept so that the order of their bytes is the order of the terms.
public enum IndexTerm {
  private static let integerSuffix = Bytes("_int".utf8)

  /// True for an index whose terms are integers.
  public static func isInteger(_ field: Bytes) -> Bool {
    field.count >= integerSuffix.count && field.suffix(integerSuffix.count) == integerSuffix[...]
  }

  /// The sortable form of a term: the text itself, or for integers sign, number of digits, digits.
  ///
  /// Digits and their number are inverted below zero, so integers of any size sort by value.
  ///
  /// - Precondition: an integer is in its shortest decimal form.
  public static func sortable(_ text: Bytes, field: Bytes) -> Bytes {
    guard isInteger(field) else { return text }
    let isNegative = text.first == UInt8(ascii: "-")
    let digits = isNegative ? text.dropFirst() : text[...]
    var writer = ByteWriter(capacity: digits.count + 5)
    writer.write(UInt8(isNegative ? 0 : 1))
    let count = UInt32(clamping: digits.count)
    writer.write(fixed: isNegative ? ~count : count)
    writer.write(raw: isNegative ? digits.map { ~$0 } : Bytes(digits))
    return writer.bytes
  }

  /// The text of a sortable term.
  public static func text(_ sortable: Bytes, field: Bytes) -> Bytes {
    guard isInteger(field), sortable.count >= 5 else { return sortable }
    let digits = sortable.dropFirst(5)
    return sortable[0] == 0 ? [UInt8(ascii: "-")] + digits.map { ~$0 } : Bytes(digits)
  }
}
