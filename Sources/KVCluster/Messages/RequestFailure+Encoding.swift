import KVBase
import KVModel

/// One tag byte, two fixed words for the counts, and a text that most cases leave empty.
extension RequestFailure {
  private var fields: (tag: UInt8, need: Int, got: Int, text: Bytes) {
    switch self {
    case .timeout: (0, 0, 0, [])
    case .overload: (1, 0, 0, [])
    case .rUnsatisfied(let need, let got): (2, need, got, [])
    case .prUnsatisfied(let need, let got): (3, need, got, [])
    case .dwUnsatisfied(let need, let got): (4, need, got, [])
    case .pwUnsatisfied(let need, let got): (5, need, got, [])
    case .nodeConfirmsUnsatisfied(let need, let got): (6, need, got, [])
    case .insufficientNodes(let need, let got): (7, need, got, [])
    case .insufficientVnodes(let need, let got): (8, need, got, [])
    case .nValViolation(let n): (9, n, 0, [])
    case .quorumViolation(let option, let value): (10, Int(value), 0, Bytes(option.utf8))
    case .allNodesDown: (11, 0, 0, [])
    case .matchFound: (12, 0, 0, [])
    case .modified: (13, 0, 0, [])
    case .notFound: (14, 0, 0, [])
    case .unknownBucketType(let name): (15, 0, 0, name)
    case .tooLarge(let text): (16, 0, 0, Bytes(text.utf8))
    case .storage(let text): (17, 0, 0, Bytes(text.utf8))
    case .failed: (0x30, 0, 0, [])
    case .refused(let text): (18, 0, 0, Bytes(text.utf8))
    }
  }

  func encode(into writer: inout ByteWriter) {
    let (tag, need, got, text) = fields
    writer.write(tag)
    writer.write(fixed: UInt32(clamping: need))
    writer.write(fixed: UInt32(clamping: got))
    writer.write(text)
  }

  init(decoding reader: inout ByteReader) throws(DecodingFailure) {
    let tag = try reader.readByte()
    let need = Int(try reader.readFixed(UInt32.self))
    let got = Int(try reader.readFixed(UInt32.self))
    let text = try reader.readBytes()
    switch tag {
    case 0: self = .timeout
    case 1: self = .overload
    case 2: self = .rUnsatisfied(need: need, got: got)
    case 3: self = .prUnsatisfied(need: need, got: got)
    case 4: self = .dwUnsatisfied(need: need, got: got)
    case 5: self = .pwUnsatisfied(need: need, got: got)
    case 6: self = .nodeConfirmsUnsatisfied(need: need, got: got)
    case 7: self = .insufficientNodes(need: need, got: got)
    case 8: self = .insufficientVnodes(need: need, got: got)
    case 9: self = .nValViolation(need)
    case 10:
      self = .quorumViolation(
        option: String(decoding: text, as: UTF8.self), value: UInt32(clamping: need))
    case 11: self = .allNodesDown
    case 12: self = .matchFound
    case 13: self = .modified
    case 14: self = .notFound
    case 15: self = .unknownBucketType(text)
    case 16: self = .tooLarge(String(decoding: text, as: UTF8.self))
    case 17: self = .storage(String(decoding: text, as: UTF8.self))
    case 0x30: self = .failed
    case 18: self = .refused(String(decoding: text, as: UTF8.self))
    default: throw reader.failure(expected: "a request failure, not \(tag)")
    }
  }
}

extension ByteWriter {
  mutating func write<T>(
    result: Result<T, RequestFailure>, _ body: (inout ByteWriter, T) -> Void
  ) {
    switch result {
    case .success(let value):
      write(true)
      body(&self, value)
    case .failure(let failure):
      write(false)
      failure.encode(into: &self)
    }
  }
}

extension ByteReader {
  mutating func readResult<T>(
    _ body: (inout ByteReader) throws(DecodingFailure) -> T
  ) throws(DecodingFailure) -> Result<T, RequestFailure> {
    if try readBool() { return .success(try body(&self)) }
    return .failure(try RequestFailure(decoding: &self))
  }
}
