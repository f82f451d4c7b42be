import KVBase
public import KVModel

/// What shards say to each other about a ``KeyQuery``.
///
/// The asker asks for one step after the other; between two of them the vnode keeps its place.
public enum KeyQueryMessage: Hashable, Sendable {
  /// To a vnode: begin.
  case begin(Begin)
  /// To a vnode: go on.
  case proceed(Place)
  /// From a vnode: a step.
  case step(Place, Result<KeyQueryScan.Step, RequestFailure>)
  /// To a vnode: nobody waits for more.
  case giveUp(Place)

  /// One vnode's part of one query.
  public struct Place: Hashable, Sendable {
    /// The asker's operation.
    public var operation: OperationID
    /// The vnode.
    public var partition: PartitionID
    /// The number of the step, from 0.
    public var number: UInt32

    /// The step `number` of a query at the vnode of `partition`.
    public init(operation: OperationID, partition: PartitionID, number: UInt32) {
      self.operation = operation
      self.partition = partition
      self.number = number
    }
  }

  /// The beginning of a vnode's part.
  public struct Begin: Hashable, Sendable {
    /// Its step 0.
    public var place: Place
    /// Only keys whose preference list starts at one of these.
    public var firstPartitions: [PartitionID]
    /// What is asked.
    public var query: KeyQuery

    /// The beginning of `query` at a vnode.
    public init(place: Place, firstPartitions: [PartitionID], query: KeyQuery) {
      self.place = place
      self.firstPartitions = firstPartitions
      self.query = query
    }
  }

  /// The tags on the wire.
  static let tags: ClosedRange<UInt8> = 0x22...0x25

  var tag: UInt8 {
    switch self {
    case .begin: 0x22
    case .proceed: 0x23
    case .step: 0x24
    case .giveUp: 0x25
    }
  }

  func encode(into writer: inout ByteWriter) {
    switch self {
    case .begin(let begin):
      begin.place.encode(into: &writer)
      writer.write(list: begin.firstPartitions) { $1.encode(into: &$0) }
      begin.query.encode(into: &writer)
    case .proceed(let place), .giveUp(let place): place.encode(into: &writer)
    case .step(let place, let result):
      place.encode(into: &writer)
      writer.write(result: result) { writer, step in
        step.page.encode(into: &writer)
        writer.write(step.isLast)
      }
    }
  }

  init(tag: UInt8, decoding reader: inout ByteReader) throws(DecodingFailure) {
    let place = try Place(decoding: &reader)
    switch tag {
    case 0x22:
      let partitions = try reader.readList(minimumBytes: 2) { (r) throws(DecodingFailure) in
        try PartitionID(decoding: &r)
      }
      self = .begin(
        Begin(place: place, firstPartitions: partitions, query: try KeyQuery(decoding: &reader)))
    case 0x23: self = .proceed(place)
    case 0x24:
      let result = try reader.readResult { (r) throws(DecodingFailure) in
        let page = try KeyQueryPage(decoding: &r)
        return KeyQueryScan.Step(page: page, isLast: try r.readBool())
      }
      self = .step(place, result)
    default: self = .giveUp(place)
    }
  }
}

extension KeyQueryMessage.Place {
  fileprivate func encode(into writer: inout ByteWriter) {
    operation.encode(into: &writer)
    partition.encode(into: &writer)
    writer.write(fixed: number)
  }

  fileprivate init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    operation = try OperationID(decoding: &reader)
    partition = try PartitionID(decoding: &reader)
    number = try reader.readFixed()
  }
}

extension KeyQuery {
  func encode(into writer: inout ByteWriter) {
    bucket.encode(into: &writer)
    writer.write(answer.rawValue)
    writer.write(list: parts) { writer, part in
      writer.write(count: part.tag)
      part.query.encode(into: &writer)
    }
    writer.write(Bytes(expression.text.utf8))
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    let bucket = try BucketID(decoding: &reader)
    guard let answer = Answer(rawValue: try reader.readByte()) else {
      throw reader.failure(expected: "a kind of answer")
    }
    let parts = try reader.readList(minimumBytes: 8) { (r) throws(DecodingFailure) in
      let tag = Int(clamping: try r.readVarint())
      return Part(tag: tag, query: try IndexQuery(decoding: &r))
    }
    guard parts.count <= Self.partLimit, parts.allSatisfy({ $0.query.bucket == bucket }) else {
      throw reader.failure(expected: "at most \(Self.partLimit) queries of one bucket")
    }
    guard let expression = try? KeySetExpression(try reader.readBytes()) else {
      throw reader.failure(expected: "an expression of key sets")
    }
    self.init(bucket: bucket, parts: parts, expression: expression, answer: answer)
  }
}

extension KeyQueryPage {
  func encode(into writer: inout ByteWriter) {
    writer.write(count: count)
    writer.write(list: keys) { $0.write($1) }
    writer.write(list: terms) { writer, term in
      writer.write(term.term)
      writer.write(count: term.count)
    }
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    // Counts of many vnodes are added up.
    func number(_ reader: inout ByteReader) throws(DecodingFailure) -> Int {
      let number = try reader.readVarint()
      guard number < 1 << 50 else { throw reader.failure(expected: "a number below 2^50") }
      return Int(number)
    }
    let count = try number(&reader)
    let keys = try reader.readList { (r) throws(DecodingFailure) in try r.readBytes() }
    let terms = try reader.readList(minimumBytes: 2) { (r) throws(DecodingFailure) in
      let term = try r.readBytes()
      return TermCount(term: term, count: try number(&r))
    }
    self.init(keys: keys, terms: terms, count: count)
  }
}

extension IndexQuery {
  func encode(into writer: inout ByteWriter) {
    bucket.encode(into: &writer)
    writer.write(field)
    writer.write(lower)
    writer.write(optional: upper) { $0.write($1) }
    // What must hold besides: 0 nothing, 1 a pattern, 2 a filter.
    if let filter {
      writer.write(UInt8(2))
      filter.source.encode(into: &writer)
    } else {
      writer.write(optional: pattern) { $0.write($1.text) }
    }
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    let bucket = try BucketID(decoding: &reader)
    let field = try reader.readBytes()
    let lower = try reader.readBytes()
    let upper = try reader.readOptional { (r) throws(DecodingFailure) in try r.readBytes() }
    self.init(bucket: bucket, field: field, lower: lower, upper: upper)
    switch try reader.readByte() {
    case 0: break
    case 1:
      guard let compiled = try? TermPattern(try reader.readBytes()) else {
        throw reader.failure(expected: "a term pattern")
      }
      pattern = compiled
    case 2:
      guard let compiled = try? TermFilter(try TermFilter.Source(decoding: &reader)) else {
        throw reader.failure(expected: "a term filter")
      }
      filter = compiled
    case let tag: throw reader.failure(expected: "a kind of condition, not \(tag)")
    }
  }
}

extension TermFilter.Source {
  fileprivate func encode(into writer: inout ByteWriter) {
    writer.write(evaluation)
    writer.write(condition)
    writer.write(optional: reported) { $0.write($1) }
    writer.write(list: substitutions) { writer, substitution in
      writer.write(substitution.name)
      switch substitution.value {
      case .text(let text):
        writer.write(UInt8(0))
        writer.write(text)
      case .integer(let number):
        writer.write(UInt8(1))
        writer.write(fixed: UInt64(bitPattern: Int64(number)))
      case .list: writer.write(UInt8(2))
      }
    }
  }

  fileprivate init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    let evaluation = try reader.readBytes()
    let condition = try reader.readBytes()
    let reported = try reader.readOptional { (r) throws(DecodingFailure) in try r.readBytes() }
    let substitutions = try reader.readList(minimumBytes: 2) { (r) throws(DecodingFailure) in
      let name = try r.readBytes()
      switch try r.readByte() {
      case 0: return QuerySubstitution(name: name, value: .text(try r.readBytes()))
      case 1:
        let bits = try r.readFixed(UInt64.self)
        return QuerySubstitution(name: name, value: .integer(Int(Int64(bitPattern: bits))))
      case let tag: throw r.failure(expected: "a kind of constant, not \(tag)")
      }
    }
    guard substitutions.count <= TermFilter.substitutionLimit else {
      throw reader.failure(expected: "at most \(TermFilter.substitutionLimit) constants")
    }
    self.init(
      evaluation: evaluation, condition: condition, substitutions: substitutions,
      reported: reported)
  }
}
