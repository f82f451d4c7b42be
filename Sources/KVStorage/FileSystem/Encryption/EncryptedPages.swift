import KVBase

/// Reads and authenticates the pages of one encrypted file.
///
/// **Concurrency**: any thread.
final class EncryptedPages: Sendable {
  let path: String
  let ciphers: CipherPool
  let buffers: PageBuffers
  private let base: any ReadableFile

  init(_ base: any ReadableFile, path: String, ciphers: CipherPool, buffers: PageBuffers) {
    self.base = base
    self.path = path
    self.ciphers = ciphers
    self.buffers = buffers
  }

  /// Fills the output with plaintext from the offset on, all of it within the file.
  ///
  /// `vouched` says how much of the file is known to have been durable; it is asked only where bytes
  /// are not authentic: `authenticationFailed` before that offset, zeros after it.
  func read(
    at offset: Int, into output: UnsafeMutableRawBufferPointer,
    vouched: () throws(StorageError) -> Int
  ) throws(StorageError) {
    guard output.count > 0 else { return }
    let payload = EncryptedFormat.payloadByteCount
    let lastPage = (offset + output.count - 1) / payload
    try ciphers.withCipher { (cipher) throws(StorageError) in
      try buffers.withBuffer { (buffer) throws(StorageError) in
        var done = 0
        while done < output.count {
          let first = (offset + done) / payload
          let images = try readImages(
            first..<min(lastPage + 1, first + PageBuffers.pageCount), buffer)
          for page in images.pages {
            let start = offset + done - page * payload
            let count = min(payload - start, output.count - done)
            try decrypt(
              images[page], page, from: start,
              into: UnsafeMutableRawBufferPointer(rebasing: output[done..<done + count]), cipher,
              vouched)
            done += count
          }
        }
      }
    }
  }

  /// The durable length that the seals of the last authentic page speak of, of `size` bytes.
  func vouchedByteCount(size: Int) throws(StorageError) -> Int {
    let pageCount = (size + EncryptedFormat.payloadByteCount - 1) / EncryptedFormat.payloadByteCount
    return try ciphers.withCipher { (cipher) throws(StorageError) in
      try buffers.withBuffer { (buffer) throws(StorageError) in
        for page in (0..<pageCount).reversed() {
          let image = try readImages(page..<page + 1, buffer)[page]
          let seals = seals(of: image).filter { isAuthentic($0, image, page, cipher) }
          if let durable = seals.map(\.seal.durable).max() { return durable }
        }
        return 0
      }
    }
  }

  /// Decrypts a part of a page that is in memory, which is known to be authentic.
  func withPlaintext<Result>(
    page: Int, generation: UInt32, payload: UnsafeRawPointer, from start: Int, count: Int,
    _ body: (RawBytes) -> Result
  ) -> Result {
    ciphers.withCipher { cipher in
      buffers.withBuffer { buffer in
        if let output = buffer.baseAddress {
          cipher.apply(
            page: page, generation: generation, offset: start,
            from: RawBytes(start: payload + start, count: count), to: output)
        }
        return body(RawBytes(buffer).slice(0, count))
      }
    }
  }

  // MARK: Images

  /// Pages as they are in the file; the last may be cut.
  private struct Images {
    var pages: Range<Int>
    var bytes: RawBytes

    subscript(page: Int) -> RawBytes {
      let start = min(bytes.count, (page - pages.lowerBound) * EncryptedFormat.pageByteCount)
      return bytes.slice(start, min(EncryptedFormat.pageByteCount, bytes.count - start))
    }
  }

  private func readImages(
    _ pages: Range<Int>, _ buffer: UnsafeMutableRawBufferPointer
  ) throws(StorageError) -> Images {
    let wanted = UnsafeMutableRawBufferPointer(
      rebasing: buffer[..<(pages.count * EncryptedFormat.pageByteCount)])
    let count = try base.read(
      at: EncryptedFormat.rawOffset(ofPage: pages.lowerBound), into: wanted)
    return Images(pages: pages, bytes: RawBytes(wanted).slice(0, count))
  }

  private typealias FoundSeal = (seal: Seal, offset: Int)

  /// The seals that may vouch for bytes of the image, the longer one first; not authenticated.
  private func seals(of image: RawBytes) -> [FoundSeal] {
    guard image.count > EncryptedFormat.payloadOffset else { return [] }
    let first = seal(of: image, at: 0)
    guard let second = seal(of: image, at: Seal.byteCount) else { return first.map { [$0] } ?? [] }
    guard let first else { return [second] }
    return first.seal.length > second.seal.length ? [first, second] : [second, first]
  }

  private func seal(of image: RawBytes, at offset: Int) -> FoundSeal? {
    guard let start = image.baseAddress, let seal = Seal(decoding: start + offset),
      seal.length > 0, seal.length <= image.count - EncryptedFormat.payloadOffset
    else { return nil }
    return (seal, offset)
  }

  private func isAuthentic(
    _ found: FoundSeal, _ image: RawBytes, _ page: Int, _ cipher: PageCipher
  ) -> Bool {
    guard let start = image.baseAddress else { return false }
    return cipher.verified(
      found.seal, at: start + found.offset, page: page,
      ciphertext: start + EncryptedFormat.payloadOffset)
  }

  /// The authentic seal that vouches for most.
  private func longestSeal(_ image: RawBytes, _ page: Int, _ cipher: PageCipher) -> Seal? {
    guard image.count > EncryptedFormat.payloadOffset else { return nil }
    // A page that was written in one go has one seal: no array for it.
    if let first = seal(of: image, at: 0), seal(of: image, at: Seal.byteCount) == nil {
      return isAuthentic(first, image, page, cipher) ? first.seal : nil
    }
    return seals(of: image).first { isAuthentic($0, image, page, cipher) }?.seal
  }

  // MARK: Plaintext

  private func decrypt(
    _ image: RawBytes, _ page: Int, from start: Int, into output: UnsafeMutableRawBufferPointer,
    _ cipher: PageCipher, _ vouched: () throws(StorageError) -> Int
  ) throws(StorageError) {
    let seal = longestSeal(image, page, cipher)
    if let seal, seal.length >= start + output.count {
      apply(seal, image, page, from: start, into: output, cipher)
      return
    }
    // The page may have been caught by a crash while it was replaced.
    try buffers.withBuffer { (buffer) throws(StorageError) in
      let room = UnsafeMutableRawBufferPointer(rebasing: buffer[..<EncryptedFormat.pageByteCount])
      let count = try base.read(at: EncryptedFormat.spareOffset, into: room)
      let spare = RawBytes(room).slice(0, count)
      let spareSeal = longestSeal(spare, page, cipher)
      let usesSpare = (spareSeal?.length ?? 0) > (seal?.length ?? 0)
      try decryptPart(
        usesSpare ? spareSeal : seal, usesSpare ? spare : image, page, from: start, into: output,
        cipher, vouched)
    }
  }

  /// Decrypts what the seal vouches for and fills the rest with zeros if that may be.
  private func decryptPart(
    _ seal: Seal?, _ image: RawBytes, _ page: Int, from start: Int,
    into output: UnsafeMutableRawBufferPointer, _ cipher: PageCipher,
    _ vouched: () throws(StorageError) -> Int
  ) throws(StorageError) {
    let length = seal?.length ?? 0
    let sealedEnd = page * EncryptedFormat.payloadByteCount + length
    if length < start + output.count, try sealedEnd < vouched() {
      throw StorageError(
        .authenticationFailed, "the bytes are not those that were written", path: path,
        offset: sealedEnd)
    }
    let count = max(0, min(output.count, length - start))
    if let seal, count > 0 {
      apply(
        seal, image, page, from: start,
        into: UnsafeMutableRawBufferPointer(rebasing: output[..<count]), cipher)
    }
    UnsafeMutableRawBufferPointer(rebasing: output[count...]).initializeMemory(
      as: UInt8.self, repeating: 0)
  }

  private func apply(
    _ seal: Seal, _ image: RawBytes, _ page: Int, from start: Int,
    into output: UnsafeMutableRawBufferPointer, _ cipher: PageCipher
  ) {
    guard let target = output.baseAddress else { return }
    cipher.apply(
      page: page, generation: seal.generation, offset: start,
      from: image.slice(EncryptedFormat.payloadOffset + start, output.count), to: target)
  }
}

/// How much of a file was durable at some time, as its header says.
enum EncryptedMark {
  /// Zero when there is no mark.
  static func read(_ header: Bytes, _ cipher: PageCipher) -> Int {
    header.withRaw { raw in
      guard let start = raw.baseAddress else { return 0 }
      let marks = EncryptedFormat.markOffsets.compactMap { offset -> Seal? in
        guard raw.count >= offset + Seal.byteCount, let seal = Seal(decoding: start + offset),
          seal.length == 0,
          cipher.verified(
            seal, at: start + offset, page: EncryptedFormat.markPage, ciphertext: start)
        else { return nil }
        return seal
      }
      return marks.max { $0.serial < $1.serial }?.durable ?? 0
    }
  }

  /// One of the marks; its seal vouches for no bytes of its own.
  static func encode(_ seal: Seal, _ cipher: PageCipher) -> Bytes {
    var bytes = Bytes(repeating: 0, count: Seal.byteCount)
    bytes.withUnsafeMutableBytes { raw in
      guard let start = raw.baseAddress else { return }
      cipher.write(seal, page: EncryptedFormat.markPage, ciphertext: start, to: start)
    }
    return bytes
  }
}
