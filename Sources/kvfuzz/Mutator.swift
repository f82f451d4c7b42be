import KVBase

/// Makes damaged inputs from good ones; everything follows from the random generator.
struct Mutator {
  /// The longest input made.
  static let longest = 1 << 16

  private static let numbers: [UInt64] = [
    0, 1, 2, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000,
    0xFFFF_FFFB, 0xFFFF_FFFF, 1 << 48, .max >> 1, .max,
  ]

  private let samples: [Bytes]

  /// A mutator of these good inputs.
  ///
  /// - Precondition: there is at least one sample.
  init(samples: [Bytes]) {
    precondition(!samples.isEmpty, "a mutator needs samples")
    self.samples = samples
  }

  /// A sample with one to eight changes; seldom, bytes without any form.
  func input(using random: inout SeededRandom) -> Bytes {
    if random.chance(0.02) {
      return (0..<random.below(200)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }
    var bytes = samples[random.below(samples.count)]
    for _ in 0...random.below(8) {
      if random.chance(0.35), let changed = changedField(bytes, &random) {
        bytes = changed
      } else {
        change(&bytes, &random)
      }
      if bytes.count > Self.longest { bytes.removeLast(bytes.count - Self.longest) }
    }
    return bytes
  }

  private func change(_ bytes: inout Bytes, _ random: inout SeededRandom) {
    guard !bytes.isEmpty else { return bytes = samples[random.below(samples.count)] }
    let at = random.below(bytes.count)
    let span = at..<min(bytes.count, at + 1 + random.below(16))
    switch random.below(9) {
    case 0: bytes[at] ^= 1 << UInt8(random.below(8))
    case 1: bytes[at] = UInt8(truncatingIfNeeded: random.next())
    case 2: bytes.removeSubrange(span)
    case 3: bytes.insert(contentsOf: bytes[span], at: random.below(bytes.count + 1))
    case 4: bytes.removeLast(bytes.count - at)
    case 5: overwrite(&bytes, at, number(4, &random))
    case 6: overwrite(&bytes, at, number(8, &random))
    case 7:
      var writer = ByteWriter()
      writer.write(varint: Self.numbers[random.below(Self.numbers.count)])
      bytes.replaceSubrange(at..<at + 1, with: writer.bytes)
    default:
      let other = samples[random.below(samples.count)]
      guard !other.isEmpty else { return }
      let from = random.below(other.count)
      bytes.replaceSubrange(at..., with: other[from...])
    }
  }

  private func number(_ width: Int, _ random: inout SeededRandom) -> Bytes {
    var writer = ByteWriter()
    writer.write(fixed: Self.numbers[random.below(Self.numbers.count)])
    return Bytes(writer.bytes.suffix(width))
  }

  private func overwrite(_ bytes: inout Bytes, _ at: Int, _ value: Bytes) {
    for (offset, byte) in value.enumerated() where at + offset < bytes.count {
      bytes[at + offset] = byte
    }
  }
}

// MARK: - Structure

extension Mutator {
  private struct Field {
    var tag: UInt64
    var value: Bytes
  }

  /// The bytes after the first, read as protobuf fields, with one field dropped, doubled, changed in
  /// type or given another value; nil when they are none.
  private func changedField(_ bytes: Bytes, _ random: inout SeededRandom) -> Bytes? {
    guard let code = bytes.first, var fields = fields(Bytes(bytes.dropFirst())), !fields.isEmpty
    else { return nil }
    let index = random.below(fields.count)
    switch random.below(6) {
    case 0: fields.remove(at: index)
    case 1: fields.insert(fields[index], at: random.below(fields.count + 1))
    case 2: fields[index].tag ^= UInt64(random.below(8))
    case 3: fields[index].tag = UInt64(1 + random.below(33)) << 3 | fields[index].tag & 7
    case 4:
      var writer = ByteWriter()
      writer.write(varint: Self.numbers[random.below(Self.numbers.count)])
      fields[index] = Field(tag: fields[index].tag & ~7, value: writer.bytes)
    default: change(&fields[index].value, &random)
    }
    var writer = ByteWriter(capacity: bytes.count + 16)
    writer.write(code)
    for field in fields {
      writer.write(varint: field.tag)
      if field.tag & 7 == 2 { writer.write(field.value) } else { writer.write(raw: field.value) }
    }
    return writer.bytes
  }

  private func fields(_ body: Bytes) -> [Field]? {
    var reader = ByteReader(body)
    var fields: [Field] = []
    do throws(DecodingFailure) {
      while !reader.isAtEnd, fields.count < 1000 {
        let tag = try reader.readVarint()
        switch tag & 7 {
        case 0:
          var writer = ByteWriter()
          writer.write(varint: try reader.readVarint())
          fields.append(Field(tag: tag, value: writer.bytes))
        case 1: fields.append(Field(tag: tag, value: try reader.readRaw(8)))
        case 2: fields.append(Field(tag: tag, value: try reader.readBytes()))
        case 5: fields.append(Field(tag: tag, value: try reader.readRaw(4)))
        default: return nil
        }
      }
    } catch {
      return nil
    }
    return fields
  }
}
