import KVBase

/// The layout of an encrypted file.
///
/// ```
/// header (2048):  key slot at 0 | the same at 512 | mark at 1024 | the same at 1536
/// spare  (4096):  at 4096, the image of a page that is being replaced; else zeros or nothing
/// pages  (4096 each, from 8192):  seal 40 | seal 40 | ciphertext 4016
/// ```
/// Appending to a page only ever adds ciphertext and writes the seal that is not durable yet, so the
/// durable seal keeps vouching for the durable part whatever a crash leaves of the rest. What has no
/// seal reads as zeros if nothing says that it was durable, and is damage otherwise.
///
/// **On disk**: Docs/Formats.md, "Encrypted file".
enum EncryptedFormat {
  static let magic = Bytes("SPINEENC".utf8)
  static let version: UInt32 = 1
  static let headerByteCount = 2048
  static let keySlotOffsets = [0, 512]
  static let markOffsets = [1024, 1536]
  static let spareOffset = 4096
  static let dataOffset = 8192
  static let pageByteCount = 4096
  static let payloadOffset = 2 * Seal.byteCount
  static let payloadByteCount = pageByteCount - payloadOffset
  /// Stands for the mark where a page's number is authenticated.
  static let markPage = Int.max

  /// Where a page begins in the file.
  static func rawOffset(ofPage page: Int) -> Int { dataOffset + page * pageByteCount }

  /// How long the file is when its plaintext has this length.
  static func rawByteCount(_ plainByteCount: Int) -> Int {
    let (page, rest) = plainByteCount.quotientAndRemainder(dividingBy: payloadByteCount)
    return rawOffset(ofPage: page) + (rest == 0 ? 0 : payloadOffset + rest)
  }

  /// The length of the plaintext in a file of this length.
  static func plainByteCount(_ rawByteCount: Int) -> Int {
    guard rawByteCount > dataOffset else { return 0 }
    let (page, rest) = (rawByteCount - dataOffset).quotientAndRemainder(dividingBy: pageByteCount)
    return page * payloadByteCount + max(0, rest - payloadOffset)
  }
}

/// What vouches for the first bytes of a page.
///
/// The tag covers the other fields, the number of the page and the ciphertext. The serial number is
/// the nonce of the tag: a writer uses each once.
struct Seal: Equatable {
  static let byteCount = 40
  static let tagOffset = 24

  var serial: UInt64
  /// How much of the file's plaintext was durable when the seal was made.
  var durable: Int
  /// With the page's number, the nonce of the ciphertext.
  var generation: UInt32
  /// How many bytes of the page it vouches for.
  var length: Int

  /// The fields before the tag.
  func encode(into bytes: UnsafeMutableRawPointer) {
    bytes.storeBytes(of: serial.bigEndian, as: UInt64.self)
    bytes.storeBytes(of: UInt64(durable).bigEndian, toByteOffset: 8, as: UInt64.self)
    bytes.storeBytes(of: generation.bigEndian, toByteOffset: 16, as: UInt32.self)
    bytes.storeBytes(of: UInt32(length).bigEndian, toByteOffset: 20, as: UInt32.self)
  }

  init(serial: UInt64, durable: Int, generation: UInt32, length: Int) {
    self.serial = serial
    self.durable = durable
    self.generation = generation
    self.length = length
  }

  /// Nil for fields that no writer writes; the tag is not checked here.
  init?(decoding bytes: UnsafeRawPointer) {
    serial = UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self))
    let durable = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    generation = UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt32.self))
    let length = UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 20, as: UInt32.self))
    guard serial > 0, durable < 1 << 60, length <= EncryptedFormat.payloadByteCount else {
      return nil
    }
    self.durable = Int(durable)
    self.length = Int(length)
  }
}

/// The part of the header that holds the file's keys, wrapped by a node key.
///
/// The two slots of a file are the same but for the moments of a rotation, which writes one after the
/// other; the one with the higher sequence number counts.
struct KeySlot: Hashable {
  static let byteCount = 116

  var sequence: UInt32
  var keyID: NodeKeyID
  var fileID: FileID
  var wrappedKeys: Bytes

  func encode() -> Bytes {
    var writer = ByteWriter(capacity: KeySlot.byteCount)
    writer.write(raw: EncryptedFormat.magic)
    writer.write(fixed: EncryptedFormat.version)
    writer.write(fixed: sequence)
    writer.write(fixed: keyID.rawValue)
    writer.write(raw: fileID.bytes)
    writer.write(raw: wrappedKeys)
    writer.write(fixed: CRC32C.checksum(writer.bytes))
    return writer.bytes
  }

  /// Reads a slot; nil when it is torn, damaged or none.
  init?(decoding bytes: ArraySlice<UInt8>, path: String) throws(StorageError) {
    guard bytes.count >= KeySlot.byteCount else { return nil }
    let bytes = bytes.prefix(KeySlot.byteCount)
    var reader = ByteReader(bytes)
    guard let magic = try? reader.readRaw(8), magic == EncryptedFormat.magic,
      let version = try? reader.readFixed(UInt32.self),
      let sequence = try? reader.readFixed(UInt32.self),
      let key = try? reader.readFixed(UInt64.self), let file = try? reader.readRaw(16),
      let wrapped = try? reader.readRaw(FileKeys.wrappedByteCount),
      let checksum = try? reader.readFixed(UInt32.self),
      checksum == CRC32C.checksum(bytes.dropLast(4))
    else { return nil }
    guard version == EncryptedFormat.version else {
      throw StorageError(.unsupportedVersion, "encrypted file version \(version)", path: path)
    }
    self.init(
      sequence: sequence, keyID: NodeKeyID(rawValue: key), fileID: FileID(bytes: file),
      wrappedKeys: wrapped)
  }

  init(sequence: UInt32, keyID: NodeKeyID, fileID: FileID, wrappedKeys: Bytes) {
    self.sequence = sequence
    self.keyID = keyID
    self.fileID = fileID
    self.wrappedKeys = wrappedKeys
  }
}

/// Names a file through all its links and renames.
struct FileID: Hashable {
  static let byteCount = 16
  var bytes: Bytes
}

/// The header of an encrypted file, as found.
struct EncryptedHeader {
  /// The slots that are whole, in their order; at least one.
  var slots: [(index: Int, slot: KeySlot)]
  var bytes: Bytes

  /// The slot that counts.
  var current: (index: Int, slot: KeySlot) {
    slots.dropFirst().reduce(slots[0]) { $1.slot.sequence > $0.slot.sequence ? $1 : $0 }
  }

  /// A new file's header.
  static func encode(_ slot: KeySlot) -> Bytes {
    var bytes = Bytes(repeating: 0, count: EncryptedFormat.headerByteCount)
    for offset in EncryptedFormat.keySlotOffsets {
      bytes.replaceSubrange(offset..<offset + KeySlot.byteCount, with: slot.encode())
    }
    return bytes
  }

  /// Reads the header of a file.
  ///
  /// Nil when its creation was cut short by a crash: the header is durable before a file's first byte
  /// is written, so nothing is lost with it.
  init?(decoding bytes: Bytes, rawByteCount: Int, path: String) throws(StorageError) {
    var slots: [(Int, KeySlot)] = []
    for (index, offset) in EncryptedFormat.keySlotOffsets.enumerated() where offset < bytes.count {
      if let slot = try KeySlot(decoding: bytes[offset...], path: path) {
        slots.append((index, slot))
      }
    }
    guard slots.isEmpty else {
      self.slots = slots
      self.bytes = bytes
      return
    }
    let start = bytes.prefix(EncryptedFormat.magic.count)
    guard start.allSatisfy({ $0 == 0 }) || EncryptedFormat.magic.starts(with: start) else {
      throw StorageError(.malformed, "not an encrypted file", path: path, offset: 0)
    }
    guard rawByteCount <= EncryptedFormat.dataOffset else {
      throw StorageError(
        .authenticationFailed, "both key slots are damaged", path: path, offset: 0)
    }
    return nil
  }
}
