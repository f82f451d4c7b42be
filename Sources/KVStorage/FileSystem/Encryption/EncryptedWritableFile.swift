import KVBase

/// Writes an encrypted file, from its creation on.
///
/// Only the creator of a file writes it, so the numbers that must never be used twice (the serial
/// numbers of seals, the generations of pages) are counters in memory.
///
/// **Invariants**: 1. a page and a generation are used for one plaintext only, which may grow; 2. the
/// seal of the tail that is durable is not written over; 3. no seal speaks of more durable bytes than
/// the page it is in can end at, so that cutting the file after the page keeps it true.
///
/// **Concurrency**: any thread; `live.writing` is held by each operation, and guards what is below.
final class EncryptedWritableFile: WritableFile, @unchecked Sendable {
  let base: any WritableFile
  let live: LiveFile
  private let onClose: @Sendable () -> Void
  /// The generation of pages that are begun.
  var generation: UInt32 = 0
  private var serial: UInt64 = 0
  /// How much of the plaintext is durable.
  var durable = 0
  /// What the header's mark says.
  private var marked = 0
  /// True when the next sync must also bring mark and spare page up to date.
  var needsMark = true
  /// True while the spare page may be the only durable image of some page.
  var isSpareUsed = false
  /// False after a failed sync: a later one that succeeds would say nothing about the bytes before.
  private var isTrusted = true
  /// The seal of the tail that is durable, and the one written last.
  var durableSeal: Int?
  var lastSeal = 0
  /// How many bytes of the tail may be in the file under its generation, by writes that failed.
  var exposed = 0
  /// True when a failed write may have left another tail in the file than the one in memory.
  var isTailTorn = false
  /// A page before the tail that the file may have only in part, after a failed write.
  var tornPage: (page: Int, image: Bytes)?

  init(_ base: any WritableFile, _ live: LiveFile, onClose: @escaping @Sendable () -> Void) {
    self.base = base
    self.live = live
    self.onClose = onClose
  }

  deinit {
    // The mark tells damage from a torn write; here it costs no sync.
    if isTrusted, durable > marked { try? writeMark(durable, keepsFirst: true) }
    onClose()
  }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(StorageError) {
    live.writing.lock()
    defer { live.writing.unlock() }
    guard !bytes.isEmpty else { return }
    try fill(to: offset)
    let overlap = min(bytes.count, live.state.end - offset)
    if overlap > 0 { try overwrite(bytes.slice(0, overlap), at: offset) }
    try append(bytes.slice(overlap, bytes.count - overlap))
  }

  func preallocate(_ range: Range<Int>) throws(StorageError) {
    live.writing.lock()
    defer { live.writing.unlock() }
    precondition(
      range.lowerBound >= live.state.end, "\(range) begins before the end, \(live.state.end)")
    try base.preallocate(
      EncryptedFormat.rawByteCount(
        range.lowerBound)..<EncryptedFormat.rawByteCount(
          range.upperBound))
    live.publish { $0.size = max($0.size, range.upperBound) }
  }

  func sync() throws(StorageError) {
    live.writing.lock()
    defer { live.writing.unlock() }
    try syncBase()
    guard needsMark else { return }
    // Once for a file that is written and synced in one go, and after a page was replaced.
    try writeMark(durable)
    if isSpareUsed {
      try base.writeZeros(
        EncryptedFormat.spareOffset..<EncryptedFormat.spareOffset + EncryptedFormat.pageByteCount)
    }
    try syncBase()
    isSpareUsed = false
    needsMark = false
  }

  /// Makes everything written durable, mark and spare page as they are.
  func syncBase() throws(StorageError) {
    try repair()
    try syncWithoutRepair()
  }

  /// Writes again what a failed write may have torn although it was written before.
  private func repair() throws(StorageError) {
    if let (page, image) = tornPage {
      try writeImage(image, page: page)
      tornPage = nil
    }
    if isTailTorn {
      let image = RawBytes(
        start: live.image, count: EncryptedFormat.payloadOffset + live.state.tailLength)
      try base.write(image, at: EncryptedFormat.rawOffset(ofPage: live.state.tailPage))
      isTailTorn = false
    }
  }

  func writeImage(_ image: Bytes, page: Int) throws(StorageError) {
    try image.withRaw { (raw) throws(StorageError) in
      try base.write(raw, at: EncryptedFormat.rawOffset(ofPage: page))
    }
  }

  func syncWithoutRepair() throws(StorageError) {
    guard isTrusted else {
      throw StorageError(.inputOutput, "an earlier sync of the file failed", path: live.pages.path)
    }
    do throws(StorageError) { try base.sync() } catch {
      isTrusted = false
      throw error
    }
    durable = live.state.end
    durableSeal = live.state.tailLength > 0 ? lastSeal : nil
  }

  /// Writes the mark twice, or only its second place, so that a torn write leaves what was there.
  private func writeMark(_ byteCount: Int, keepsFirst: Bool = false) throws(StorageError) {
    serial += 1
    let seal = Seal(serial: serial, durable: byteCount, generation: 0, length: 0)
    let bytes = live.pages.ciphers.withCipher { EncryptedMark.encode(seal, $0) }
    for offset in EncryptedFormat.markOffsets.dropFirst(keepsFirst ? 1 : 0) {
      try bytes.withRaw { (raw) throws(StorageError) in try base.write(raw, at: offset) }
    }
    marked = byteCount
  }

  /// Lowers the mark before a part of the file that it speaks of is cut off.
  func lowerMark(to byteCount: Int) throws(StorageError) {
    if marked > byteCount { try writeMark(byteCount) }
  }

  // MARK: Appending

  /// Writes zeros between the end and an offset after it.
  private func fill(to offset: Int) throws(StorageError) {
    let zeros = Bytes(repeating: 0, count: min(64 << 10, max(0, offset - live.state.end)))
    while live.state.end < offset {
      let count = min(zeros.count, offset - live.state.end)
      try zeros.withRaw { (raw) throws(StorageError) in try append(raw.slice(0, count)) }
    }
  }

  private func append(_ bytes: RawBytes) throws(StorageError) {
    var done = 0
    while done < bytes.count {
      let rest = bytes.slice(done, bytes.count - done)
      if try !exposesOtherBytes(rest) {
        done += try appendPages(rest)
      } else {
        try replaceTail()
      }
    }
  }

  /// True when an append that failed may have left the tail's next bytes in the file, and these are
  /// not the same.
  ///
  /// Encrypting them under the same nonce would give both away.
  private func exposesOtherBytes(_ bytes: RawBytes) throws(StorageError) -> Bool {
    let state = live.state
    let count = min(bytes.count, exposed - state.tailLength)
    guard state.tailLength > 0, count > 0 else { return false }
    return live.pages.withPlaintext(
      page: state.tailPage, generation: state.tailGeneration,
      payload: live.image + EncryptedFormat.payloadOffset, from: state.tailLength, count: count
    ) { !$0.elementsEqual(bytes.slice(0, count)) }
  }

  /// Writes as many pages as fit a buffer, beginning with the tail; returns how many bytes of the
  /// plaintext they took.
  private func appendPages(_ bytes: RawBytes) throws(StorageError) -> Int {
    try live.pages.ciphers.withCipher { (cipher) throws(StorageError) in
      try live.pages.buffers.withBuffer { (buffer) throws(StorageError) in
        guard let start = buffer.baseAddress else { return 0 }
        let tail = live.state
        let payload = EncryptedFormat.payloadByteCount
        var count = 0
        var pageCount = 0
        var length = 0
        while count < bytes.count, pageCount < PageBuffers.pageCount {
          let before = pageCount == 0 ? tail.tailLength : 0
          let part = bytes.slice(count, min(payload - before, bytes.count - count))
          length = before + part.count
          encrypt(
            part, after: before, page: tail.tailPage + pageCount,
            to: start + pageCount * EncryptedFormat.pageByteCount, cipher)
          count += part.count
          pageCount += 1
        }
        let rawCount =
          (pageCount - 1) * EncryptedFormat.pageByteCount + EncryptedFormat.payloadOffset + length
        do throws(StorageError) {
          try base.write(
            RawBytes(start: start, count: rawCount),
            at: EncryptedFormat.rawOffset(ofPage: tail.tailPage))
        } catch {
          remember(start, attempted: min(payload, tail.tailLength + bytes.count))
          throw error
        }
        advance(by: count, pageCount: pageCount, lastPage: start, length: length)
        return count
      }
    }
  }

  /// Makes the image of a page: what the tail has, if it is the tail, then the new bytes.
  private func encrypt(
    _ bytes: RawBytes, after before: Int, page: Int, to image: UnsafeMutableRawPointer,
    _ cipher: PageCipher
  ) {
    let pageGeneration = before > 0 ? live.state.tailGeneration : generation
    var target = 0
    if before > 0 {
      image.copyMemory(
        from: live.image, byteCount: EncryptedFormat.payloadOffset + before)
      target = durableSeal == 0 ? 1 : 0
    } else {
      image.initializeMemory(as: UInt8.self, repeating: 0, count: EncryptedFormat.payloadOffset)
    }
    let payload = image + EncryptedFormat.payloadOffset
    cipher.apply(
      page: page, generation: pageGeneration, offset: before, from: bytes, to: payload + before)
    cipher.write(
      nextSeal(page: page, generation: pageGeneration, length: before + bytes.count), page: page,
      ciphertext: payload, to: image + target * Seal.byteCount)
  }

  func nextSeal(page: Int, generation: UInt32, length: Int) -> Seal {
    serial += 1
    let end = page * EncryptedFormat.payloadByteCount + length
    return Seal(
      serial: serial, durable: min(durable, end), generation: generation, length: length)
  }

  /// After a failed write: its pages are never written again under the same nonce, but for the tail,
  /// whose attempted bytes are kept for comparison.
  private func remember(_ image: UnsafeRawPointer, attempted: Int) {
    generation += 1
    let length = live.state.tailLength
    isTailTorn = length > 0
    guard length > 0, attempted > exposed else { return }
    let offset = EncryptedFormat.payloadOffset + length
    live.publish { _ in
      (live.image + offset).copyMemory(from: image + offset, byteCount: attempted - length)
    }
    exposed = attempted
  }

  /// The pages are in the file: the last, unless it is full, is the new tail.
  private func advance(
    by count: Int, pageCount: Int, lastPage first: UnsafeRawPointer, length: Int
  ) {
    let isFull = length == EncryptedFormat.payloadByteCount
    let isSameTail = pageCount == 1 && live.state.tailLength > 0
    isTailTorn = false
    live.publish { state in
      if !isFull {
        live.image.copyMemory(
          from: first + (pageCount - 1) * EncryptedFormat.pageByteCount,
          byteCount: EncryptedFormat.payloadOffset + length)
      }
      if !isSameTail || isFull { state.tailGeneration = generation }
      state.tailPage += isFull ? pageCount : pageCount - 1
      state.end += count
      state.size = max(state.size, state.end)
    }
    if isFull || !isSameTail {
      durableSeal = nil
      lastSeal = 0
      exposed = isFull ? 0 : length
    } else {
      lastSeal = durableSeal == 0 ? 1 : 0
      exposed = max(exposed, length)
    }
  }
}
