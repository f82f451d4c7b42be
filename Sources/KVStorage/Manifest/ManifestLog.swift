import KVBase

/// The layout of a manifest: a header and a log of version edits.
///
/// ```
/// header (24):  magic 8 | version 4 | manifest number 8 | CRC32C 4
/// record:       payload length 4 | CRC32C 4 | payload
/// ```
/// A record's checksum continues from the header's and covers length and payload.
///
/// **On disk**: Docs/Formats.md, "Manifest".
enum ManifestFormat {
  static let magic = Bytes("SPINEMAN".utf8)
  static let version: UInt32 = 2
  static let headerByteCount = 24
  static let recordHeaderByteCount = 8
  static let maximumPayloadByteCount = 64 << 20

  static func header(_ number: FileNumber) -> Bytes {
    var writer = ByteWriter(capacity: headerByteCount)
    writer.write(raw: magic)
    writer.write(fixed: version)
    writer.write(fixed: number.rawValue)
    writer.write(fixed: CRC32C.checksum(writer.bytes))
    return writer.bytes
  }

  static func record(_ edit: VersionEdit, seed: UInt32) -> Bytes {
    record(payload: edit.encode(), seed: seed)
  }

  static func record(payload: Bytes, seed: UInt32) -> Bytes {
    var writer = ByteWriter(capacity: recordHeaderByteCount + payload.count)
    writer.write(fixed: UInt32(payload.count))
    let head = CRC32C.checksum(writer.bytes, continuing: seed)
    writer.write(fixed: CRC32C.checksum(payload, continuing: head))
    writer.write(raw: payload)
    return writer.bytes
  }

  /// The contents of CURRENT: the manifest's name and the name's checksum.
  static func current(_ name: String) -> Bytes {
    Bytes("\(name) \(CRC32C.checksum(Bytes(name.utf8)))\n".utf8)
  }

  /// The manifest's name in the contents of CURRENT.
  static func manifestName(current: Bytes, path: String) throws(StorageError) -> String {
    let text = String(decoding: current, as: UTF8.self)
    let words = text.split(separator: " ")
    guard let name = words.first.map(String.init),
      StorePaths.number(name, prefix: StorePaths.manifestPrefix) != nil,
      Bytes(text.utf8) == ManifestFormat.current(name)
    else {
      throw StorageError(.malformed, "CURRENT does not name a manifest", path: path, offset: 0)
    }
    return name
  }

  /// The edits of a manifest and the length of a torn last record.
  ///
  /// An edit is synced before anything relies on it, so a bad record is a torn one only if it is
  /// not the first and no good one follows.
  static func read(
    _ bytes: Bytes, path: String
  ) throws(StorageError) -> (edits: [VersionEdit], tornByteCount: Int) {
    try readHeader(bytes, path: path)
    let seed = CRC32C.checksum(bytes[..<(headerByteCount - 4)])
    var edits: [VersionEdit] = []
    var offset = headerByteCount
    while offset < bytes.count {
      guard let payload = payload(bytes, at: offset, seed: seed) else {
        guard !edits.isEmpty, !hasRecord(bytes, after: offset, seed: seed) else {
          throw StorageError(.checksumMismatch, "damaged record", path: path, offset: offset)
        }
        return (edits, bytes.count - offset)
      }
      do throws(DecodingFailure) {
        edits.append(try VersionEdit(decoding: Bytes(payload)))
      } catch { throw StorageError(.malformed, "\(error)", path: path, offset: offset) }
      offset += recordHeaderByteCount + payload.count
    }
    guard !edits.isEmpty else {
      throw StorageError(.malformed, "a manifest without a record", path: path, offset: offset)
    }
    return (edits, 0)
  }

  private static func readHeader(_ bytes: Bytes, path: String) throws(StorageError) {
    guard bytes.count >= headerByteCount, Bytes(bytes[..<8]) == magic else {
      throw StorageError(.malformed, "not a manifest", path: path, offset: 0)
    }
    var reader = ByteReader(bytes[8..<headerByteCount])
    let found = CRC32C.checksum(bytes[..<(headerByteCount - 4)])
    do {
      let version = try reader.readFixed(UInt32.self)
      _ = try reader.readFixed(UInt64.self)
      let expected = try reader.readFixed(UInt32.self)
      guard expected == found else {
        throw StorageError(
          .checksumMismatch, "damaged header", path: path, offset: 0, expected: expected,
          found: found)
      }
      guard version == ManifestFormat.version else {
        throw StorageError(.unsupportedVersion, "manifest version \(version)", path: path)
      }
    } catch let error as StorageError { throw error } catch {
      throw StorageError(.malformed, "\(error)", path: path, offset: 0)
    }
  }

  /// The payload of the record at an offset, if its checksum is right.
  private static func payload(
    _ bytes: Bytes, at offset: Int, seed: UInt32
  ) -> ArraySlice<UInt8>? {
    let start = offset + recordHeaderByteCount
    guard start <= bytes.count else { return nil }
    var count = 0
    var expected: UInt32 = 0
    for byte in bytes[offset..<offset + 4] { count = count << 8 | Int(byte) }
    for byte in bytes[offset + 4..<start] { expected = expected << 8 | UInt32(byte) }
    guard count > 0, count <= maximumPayloadByteCount, count <= bytes.count - start else {
      return nil
    }
    let head = CRC32C.checksum(bytes[offset..<offset + 4], continuing: seed)
    let payload = bytes[start..<start + count]
    return CRC32C.checksum(payload, continuing: head) == expected ? payload : nil
  }

  private static func hasRecord(_ bytes: Bytes, after offset: Int, seed: UInt32) -> Bool {
    var budget = 64 * bytes.count
    var position = offset + 1
    while position + recordHeaderByteCount < bytes.count, budget > 0 {
      if payload(bytes, at: position, seed: seed) != nil { return true }
      budget -= bytes.count - position
      position += 1
    }
    return false
  }
}

/// Appends version edits to a manifest file; each is durable when ``append(_:)`` returns.
final class ManifestWriter {
  let number: FileNumber
  private let file: any WritableFile
  private let seed: UInt32
  private(set) var byteCount: Int

  /// Creates the manifest with `snapshot` as its first record.
  ///
  /// CURRENT does not name it yet.
  init(
    ledger: String, number: FileNumber, snapshot: VersionEdit, fileSystem: any FileSystem
  ) throws(StorageError) {
    self.number = number
    let file = try fileSystem.create(ledger + "/" + StorePaths.manifestName(number))
    let header = ManifestFormat.header(number)
    seed = CRC32C.checksum(header.dropLast(4))
    let bytes = header + ManifestFormat.record(snapshot, seed: seed)
    try bytes.withRaw { (raw) throws(StorageError) in try file.write(raw, at: 0) }
    try file.sync()
    // The new name must be durable before CURRENT can point to it.
    try fileSystem.syncDirectory(ledger)
    self.file = file
    byteCount = bytes.count
  }

  func append(_ edit: VersionEdit) throws(StorageError) {
    let bytes = ManifestFormat.record(edit, seed: seed)
    try bytes.withRaw { (raw) throws(StorageError) in try file.write(raw, at: byteCount) }
    try file.sync()
    byteCount += bytes.count
  }
}
