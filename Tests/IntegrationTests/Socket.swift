import Glibc

/// A blocking TCP connection to this machine, for bytes that no client library would send.
final class Socket {
  struct Failure: Error {}

  private let descriptor: Int32

  init(_ port: Int) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var timeout = timeval(tv_sec: 20, tv_usec: 0)
    setsockopt(
      descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard result == 0 else { throw Failure() }
  }

  deinit { close(descriptor) }

  func send(_ bytes: [UInt8]) throws {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { throw Failure() }
      rest = rest.dropFirst(count)
    }
  }

  /// Tells the other side that nothing more comes.
  func finishSending() { shutdown(descriptor, Int32(SHUT_WR)) }

  func receive(_ count: Int) throws -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < count {
      let chunk = receiveSome(count - bytes.count)
      guard !chunk.isEmpty else { throw Failure() }
      bytes += chunk
    }
    return bytes
  }

  func receiveUntilClosed() -> [UInt8] {
    var bytes: [UInt8] = []
    while true {
      let chunk = receiveSome(65_536)
      if chunk.isEmpty { return bytes }
      bytes += chunk
    }
  }

  private func receiveSome(_ limit: Int) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: limit) { buffer, count in
      count = max(0, recv(descriptor, buffer.baseAddress, limit, 0))
    }
  }

  /// Sends one HTTP request and returns the whole answer.
  static func http(_ port: Int, _ line: String, body: String = "") throws -> String {
    let connection = try Socket(port)
    let head =
      "\(line)\r\nHost: localhost\r\nConnection: close\r\nContent-Length: \(body.utf8.count)\r\n\r\n"
    // The node may answer and close before it has read all of a body that is too large.
    try? connection.send(Array((head + body).utf8))
    return String(decoding: connection.receiveUntilClosed(), as: UTF8.self)
  }
}
