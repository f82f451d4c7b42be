import KVBase

/// Changing what was written: rare, and therefore allowed to cost syncs.
///
/// A page whose bytes change gets a new generation, so all its ciphertext changes, and a torn write
/// would lose durable bytes. Its new image is therefore first made durable in the spare page, where
/// readers look when the page itself is not authentic.
extension EncryptedWritableFile {
  /// Cuts the file; a cut into what was written is durable when this returns.
  func truncate(to byteCount: Int) throws(StorageError) {
    live.writing.lock()
    defer { live.writing.unlock() }
    guard byteCount <= live.state.size else { return }
    guard byteCount < live.state.end else {
      try base.truncate(to: EncryptedFormat.rawByteCount(byteCount))
      live.publish { $0.size = byteCount }
      return
    }
    try cut(to: byteCount)
  }

  private func cut(to byteCount: Int) throws(StorageError) {
    let (page, length) = byteCount.quotientAndRemainder(
      dividingBy: EncryptedFormat.payloadByteCount)
    let plaintext = try plaintext(ofPage: page, count: length)
    generation += 1
    let image = image(ofPage: page, plaintext)
    needsMark = true
    try lowerMark(to: byteCount)
    // Also when there is no image: the mark must be durable before the cut can be.
    try putAside(image)
    try base.truncate(to: EncryptedFormat.rawByteCount(byteCount))
    install(image, page: page, end: byteCount)
    live.publish { $0.size = byteCount }
    tornPage = nil
    isTailTorn = length > 0
    // Before the page: its new image followed by old pages would look like damage after a crash.
    try syncWithoutRepair()
    durableSeal = nil
    if length > 0 { try writeImage(image, page: page) }
    isTailTorn = false
  }

  /// Replaces bytes before the end; a page that has these bytes already is left alone.
  func overwrite(_ bytes: RawBytes, at offset: Int) throws(StorageError) {
    let payload = EncryptedFormat.payloadByteCount
    var done = 0
    while done < bytes.count {
      let (page, start) = (offset + done).quotientAndRemainder(dividingBy: payload)
      let pageLength = min(payload, live.state.end - page * payload)
      let part = bytes.slice(done, min(pageLength - start, bytes.count - done))
      var plaintext = try plaintext(ofPage: page, count: pageLength)
      if !plaintext[start..<start + part.count].elementsEqual(part) {
        plaintext.replaceSubrange(start..<start + part.count, with: part)
        try replace(page: page, with: plaintext)
      }
      done += part.count
    }
  }

  /// Gives the tail a new generation.
  func replaceTail() throws(StorageError) {
    let tail = live.state
    try replace(
      page: tail.tailPage, with: try plaintext(ofPage: tail.tailPage, count: tail.tailLength))
  }

  private func replace(page: Int, with plaintext: Bytes) throws(StorageError) {
    generation += 1
    let image = image(ofPage: page, plaintext)
    needsMark = true
    try putAside(image)
    if page == live.state.tailPage {
      install(image, page: page, end: live.state.end)
      isTailTorn = true
      try writeImage(image, page: page)
      isTailTorn = false
    } else {
      tornPage = (page, image)
      try writeImage(image, page: page)
      tornPage = nil
    }
  }

  /// Makes an image durable in the spare page; it stays there until the next sync.
  private func putAside(_ image: Bytes) throws(StorageError) {
    // The page that is there now may not be durable in its own place yet.
    if isSpareUsed { try syncBase() }
    guard image.count > EncryptedFormat.payloadOffset else {
      try syncBase()
      return
    }
    isSpareUsed = true
    let padding = Bytes(repeating: 0, count: EncryptedFormat.pageByteCount - image.count)
    try (image + padding).withRaw { (raw) throws(StorageError) in
      try base.write(raw, at: EncryptedFormat.spareOffset)
    }
    try syncBase()
  }

  /// Makes the image the tail in memory, under the current generation.
  private func install(_ image: Bytes, page: Int, end: Int) {
    let length = image.count - EncryptedFormat.payloadOffset
    live.publish { state in
      image.withRaw { raw in
        if let source = raw.baseAddress {
          live.image.copyMemory(from: source, byteCount: raw.count)
        }
      }
      state.tailPage = page
      state.tailGeneration = generation
      state.end = end
    }
    durableSeal = nil
    lastSeal = 0
    exposed = length
  }

  // MARK: Pages

  /// The first bytes of a page, from memory or the file.
  private func plaintext(ofPage page: Int, count: Int) throws(StorageError) -> Bytes {
    let state = live.state
    if page == state.tailPage {
      return live.pages.withPlaintext(
        page: page, generation: state.tailGeneration,
        payload: live.image + EncryptedFormat.payloadOffset, from: 0, count: count
      ) { Bytes($0) }
    }
    var bytes = Bytes(repeating: 0, count: count)
    try bytes.withUnsafeMutableBufferPointer { (buffer) throws(StorageError) in
      try live.pages.read(
        at: page * EncryptedFormat.payloadByteCount, into: UnsafeMutableRawBufferPointer(buffer),
        vouched: { .max })
    }
    return bytes
  }

  /// A page under the current generation, sealed once.
  private func image(ofPage page: Int, _ plaintext: Bytes) -> Bytes {
    var image = Bytes(repeating: 0, count: EncryptedFormat.payloadOffset + plaintext.count)
    let seal = nextSeal(page: page, generation: generation, length: plaintext.count)
    live.pages.ciphers.withCipher { cipher in
      image.withUnsafeMutableBytes { raw in
        guard let start = raw.baseAddress else { return }
        let payload = start + EncryptedFormat.payloadOffset
        plaintext.withRaw {
          cipher.apply(page: page, generation: generation, offset: 0, from: $0, to: payload)
        }
        cipher.write(seal, page: page, ciphertext: payload, to: start)
      }
    }
    return image
  }
}
