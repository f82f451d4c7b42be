import CCrypto
import KVBase

/// Encrypts and seals the pages of one file: AES-256 in counter mode, then GMAC over the ciphertext.
///
/// The ciphertext of a byte depends only on its page, its place in it and the generation, so a page
/// can grow without touching what is there. GMAC is AES-256-GCM without plaintext, under a key of its
/// own and with the seal's serial number as nonce: a page may be sealed at many lengths, which GCM
/// itself would not forgive under the one nonce that the ciphertext needs.
///
/// **Concurrency**: one thread at a time.
///
/// **Source**: NIST SP 800-38A (CTR), SP 800-38D (GMAC).
final class PageCipher {
  private let counter: OpaquePointer
  private let mac: OpaquePointer

  init(_ keys: FileKeys) {
    guard let counter = EVP_CIPHER_CTX_new(), let mac = EVP_CIPHER_CTX_new() else {
      preconditionFailure("no memory for a cipher")
    }
    self.counter = counter
    self.mac = mac
    keys.bytes.withUnsafeBufferPointer { keys in
      let second = keys.baseAddress.map { $0 + NodeKey.byteCount }
      let done =
        EVP_EncryptInit_ex(counter, EVP_aes_256_ctr(), nil, keys.baseAddress, nil)
        & EVP_EncryptInit_ex(mac, EVP_aes_256_gcm(), nil, second, nil)
      precondition(done == 1, "libcrypto has no AES-256")
    }
  }

  deinit {
    EVP_CIPHER_CTX_free(counter)
    EVP_CIPHER_CTX_free(mac)
  }

  /// Encrypts or decrypts a part of a page that begins at `offset` of its payload.
  func apply(
    page: Int, generation: UInt32, offset: Int, from input: RawBytes,
    to output: UnsafeMutableRawPointer
  ) {
    guard let source = input.baseAddress, input.count > 0 else { return }
    // The nonce, then the number of the block in the page.
    withUnsafeTemporaryAllocation(byteCount: 32, alignment: 8) { memory in
      guard let start = memory.baseAddress else { return }
      start.storeBytes(of: UInt64(page).bigEndian, as: UInt64.self)
      start.storeBytes(of: generation.bigEndian, toByteOffset: 8, as: UInt32.self)
      start.storeBytes(of: UInt32(offset / 16).bigEndian, toByteOffset: 12, as: UInt32.self)
      var done = EVP_EncryptInit_ex(
        counter, nil, nil, nil, start.assumingMemoryBound(to: UInt8.self))
      var count: Int32 = 0
      if offset % 16 > 0 {
        let unused = (start + 16).assumingMemoryBound(to: UInt8.self)
        unused.initialize(repeating: 0, count: 16)
        done &= EVP_EncryptUpdate(counter, unused, &count, unused, Int32(offset % 16))
      }
      done &= EVP_EncryptUpdate(
        counter, output.assumingMemoryBound(to: UInt8.self), &count,
        source.assumingMemoryBound(to: UInt8.self), Int32(input.count))
      precondition(done == 1 && Int(count) == input.count, "libcrypto failed to encrypt")
    }
  }

  /// Writes a seal for the first `seal.length` bytes of a page's ciphertext.
  func write(
    _ seal: Seal, page: Int, ciphertext: UnsafeRawPointer, to output: UnsafeMutableRawPointer
  ) {
    seal.encode(into: output)
    tag(seal, page: page, ciphertext: ciphertext, into: output + Seal.tagOffset)
  }

  /// The seal at `bytes` if its tag is right for the page and the ciphertext.
  func verified(
    _ seal: Seal, at bytes: UnsafeRawPointer, page: Int, ciphertext: UnsafeRawPointer
  ) -> Bool {
    withUnsafeTemporaryAllocation(byteCount: 16, alignment: 8) { memory in
      guard let expected = memory.baseAddress else { return false }
      tag(seal, page: page, ciphertext: ciphertext, into: expected)
      return CRYPTO_memcmp(expected, bytes + Seal.tagOffset, 16) == 0
    }
  }

  private func tag(
    _ seal: Seal, page: Int, ciphertext: UnsafeRawPointer, into tag: UnsafeMutableRawPointer
  ) {
    withUnsafeTemporaryAllocation(byteCount: 48, alignment: 8) { memory in
      guard let fields = memory.baseAddress else { return }
      let nonce = fields + 32
      seal.encode(into: fields)
      fields.storeBytes(of: UInt64(page).bigEndian, toByteOffset: 24, as: UInt64.self)
      nonce.storeBytes(of: 0, as: UInt32.self)
      nonce.storeBytes(of: seal.serial.bigEndian, toByteOffset: 4, as: UInt64.self)
      var count: Int32 = 0
      var done = EVP_EncryptInit_ex(mac, nil, nil, nil, nonce.assumingMemoryBound(to: UInt8.self))
      done &= EVP_EncryptUpdate(
        mac, nil, &count, fields.assumingMemoryBound(to: UInt8.self), 32)
      if seal.length > 0 {
        done &= EVP_EncryptUpdate(
          mac, nil, &count, ciphertext.assumingMemoryBound(to: UInt8.self), Int32(seal.length))
      }
      done &= EVP_EncryptFinal_ex(mac, nonce.assumingMemoryBound(to: UInt8.self), &count)
      done &= EVP_CIPHER_CTX_ctrl(mac, EVP_CTRL_AEAD_GET_TAG, 16, tag)
      precondition(done == 1, "libcrypto failed to authenticate")
    }
  }
}

/// The ciphers of one file, each used by one thread at a time.
///
/// **Concurrency**: any thread.
final class CipherPool: @unchecked Sendable {
  // `idle` is guarded by `monitor`.
  private let keys: FileKeys
  private let monitor = Monitor()
  private var idle: [PageCipher] = []

  init(_ keys: FileKeys) { self.keys = keys }

  func withCipher<Result, Failure: Error>(
    _ body: (PageCipher) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let cipher = monitor.withLock { idle.popLast() } ?? PageCipher(keys)
    defer { monitor.withLock { idle.append(cipher) } }
    return try body(cipher)
  }
}

/// Memory for pages on their way to and from files, shared by all files of a file system.
///
/// **Concurrency**: any thread.
final class PageBuffers: @unchecked Sendable {
  // `idle` is guarded by `monitor`.
  static let pageCount = 16
  private let monitor = Monitor()
  private var idle: [UnsafeMutableRawBufferPointer] = []

  deinit { for buffer in idle { buffer.deallocate() } }

  /// Lends a buffer of ``pageCount`` pages, whose contents are whatever was there.
  func withBuffer<Result, Failure: Error>(
    _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let buffer =
      monitor.withLock { idle.popLast() }
      ?? .allocate(
        byteCount: PageBuffers.pageCount * EncryptedFormat.pageByteCount, alignment: 4096)
    defer { monitor.withLock { idle.append(buffer) } }
    return try body(buffer)
  }
}
