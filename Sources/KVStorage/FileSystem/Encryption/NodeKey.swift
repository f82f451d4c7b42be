internal import CCrypto
public import KVBase

/// Tells node keys apart: the first eight bytes of a hash of the key.
public struct NodeKeyID: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  /// The number, persisted in every encrypted file.
  public let rawValue: UInt64

  /// The id with this number.
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// Sixteen hexadecimal digits.
  public var description: String {
    let digits = String(rawValue, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}

/// A key of 256 bits that wraps the keys of files.
///
/// Its description shows the id only.
public struct NodeKey: Hashable, Sendable, CustomStringConvertible {
  /// The length of a key.
  public static let byteCount = 32
  /// Which key it is.
  public let id: NodeKeyID
  let bytes: Bytes

  /// The key of these 32 bytes; `keyUnavailable` for another number.
  public init(_ bytes: Bytes) throws(StorageError) {
    guard bytes.count == NodeKey.byteCount else {
      throw StorageError(
        .keyUnavailable, "a node key has \(NodeKey.byteCount) bytes, not \(bytes.count)")
    }
    self.bytes = bytes
    var digest = Bytes(repeating: 0, count: 32)
    let input = Bytes("SpineKV node key".utf8) + bytes
    let done = EVP_Digest(input, input.count, &digest, nil, EVP_sha256(), nil)
    precondition(done == 1, "libcrypto gave no digest")
    id = NodeKeyID(rawValue: digest.prefix(8).reduce(0) { $0 << 8 | UInt64($1) })
  }

  /// The key's id.
  public var description: String { "node key \(id)" }
}

/// The node keys at hand: one for new files, and those that older files may need.
public struct KeyRing: Hashable, Sendable {
  /// The most keys of a ring.
  public static let keyLimit = 64
  /// Wraps the keys of new files.
  public private(set) var current: NodeKey
  /// Every key, the current one first.
  public private(set) var keys: [NodeKey]

  /// A ring of the current key and older ones.
  public init(current: NodeKey, older: [NodeKey] = []) {
    self.current = current
    keys = [current] + older.filter { $0 != current }
  }

  /// The key with the id.
  public func key(_ id: NodeKeyID) -> NodeKey? { keys.first { $0.id == id } }

  /// Makes a key the current one and keeps the others.
  public mutating func setCurrent(_ key: NodeKey) {
    self = KeyRing(current: key, older: keys)
  }
}

/// Where random bytes for keys and names of files come from.
public typealias RandomByteSource = @Sendable (_ count: Int) throws(StorageError) -> Bytes

/// The generator of libcrypto, for everything but simulations.
public func systemRandomBytes(_ count: Int) throws(StorageError) -> Bytes {
  var bytes = Bytes(repeating: 0, count: count)
  guard RAND_bytes(&bytes, Int32(count)) == 1 else {
    throw StorageError(.inputOutput, "the system gave no random bytes")
  }
  return bytes
}

/// The two keys of one file: for the ciphertext and for the seals.
struct FileKeys: Hashable {
  static let byteCount = 64
  /// RFC 3394 adds eight bytes.
  static let wrappedByteCount = 72
  var bytes: Bytes

  init(_ bytes: Bytes) {
    precondition(bytes.count == FileKeys.byteCount, "\(bytes.count) bytes are no file keys")
    self.bytes = bytes
  }

  /// Wraps the keys (AES key wrap, RFC 3394).
  func wrapped(by key: NodeKey) -> Bytes {
    guard let wrapped = FileKeys.wrap(bytes, key, encrypts: true) else {
      preconditionFailure("libcrypto cannot wrap a key")
    }
    return wrapped
  }

  /// Nil when the bytes were not wrapped by the key.
  init?(unwrapping wrapped: Bytes, by key: NodeKey) {
    guard let bytes = FileKeys.wrap(wrapped, key, encrypts: false) else { return nil }
    self.init(bytes)
  }

  private static func wrap(_ input: Bytes, _ key: NodeKey, encrypts: Bool) -> Bytes? {
    let context = EVP_CIPHER_CTX_new()
    defer { EVP_CIPHER_CTX_free(context) }
    EVP_CIPHER_CTX_set_flags(context, Int32(EVP_CIPHER_CTX_FLAG_WRAP_ALLOW))
    var output = Bytes(repeating: 0, count: input.count + 16)
    var count: Int32 = 0
    guard
      EVP_CipherInit_ex(context, EVP_aes_256_wrap(), nil, key.bytes, nil, encrypts ? 1 : 0) == 1,
      EVP_CipherUpdate(context, &output, &count, input, Int32(input.count)) == 1,
      Int(count) == (encrypts ? wrappedByteCount : byteCount)
    else { return nil }
    output.removeLast(output.count - Int(count))
    return output
  }
}
