import Glibc

/// One operation of a connection: a request, and perhaps one more that needs its answer's context.
struct ClusterRequest {
  var bytes: [UInt8]
  var next: ((ArraySlice<UInt8>?) -> [UInt8])?
}

/// A closed loop: each connection sends the next operation when the last is answered.
struct ClusterLoad {
  struct Failure: Error, CustomStringConvertible {
    var description: String
  }

  /// Where connections go, in turn.
  var ports: [UInt16]
  var connections: Int
  /// When the measurement ends.
  var end: End
  /// The operation with a number, from 0 on.
  var operation: (Int, inout SystemRandomNumberGenerator) -> ClusterRequest

  enum End {
    case seconds(Double)
    case count(Int)
  }

  /// Latencies of all operations, in microseconds, and the time they took together.
  struct Outcome {
    var latencies: [UInt32] = []
    var seconds = 0.0
    var errors = 0

    var operationsPerSecond: Double { seconds > 0 ? Double(latencies.count) / seconds : 0 }

    mutating func sort() { latencies.sort() }

    /// Needs ``sort()`` first.
    func quantile(_ quantile: Double) -> UInt32 {
      guard !latencies.isEmpty else { return 0 }
      return latencies[min(latencies.count - 1, Int(Double(latencies.count) * quantile))]
    }
  }

  /// Runs until the time is over or all keys are done; throws when a connection breaks.
  func run() throws(Failure) -> Outcome {
    var clients: [ClusterConnection] = []
    defer { for client in clients { close(client.descriptor) } }
    for number in 0..<connections {
      clients.append(try ClusterConnection(port: ports[number % ports.count]))
    }
    return try drive(clients)
  }

  private func drive(_ clients: [ClusterConnection]) throws(Failure) -> Outcome {
    var outcome = Outcome()
    outcome.latencies.reserveCapacity(1 << 20)
    var random = SystemRandomNumberGenerator()
    var next = 0
    let began = Self.microseconds()
    var active = 0
    func startNext(_ client: ClusterConnection, _ now: UInt64) throws(Failure) -> Bool {
      switch end {
      case .seconds(let seconds): if now >= began + UInt64(seconds * 1_000_000) { return false }
      case .count(let count): if next >= count { return false }
      }
      let request = operation(next, &random)
      next += 1
      client.began = now
      try client.begin(request)
      return true
    }
    for client in clients where try startNext(client, Self.microseconds()) { active += 1 }
    var waiting = clients.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
    while active > 0 {
      let ready = poll(&waiting, nfds_t(waiting.count), 10_000)
      guard ready > 0 || ready < 0 && errno == EINTR else {
        throw Failure(description: "no answer within 10 s")
      }
      for (index, client) in clients.enumerated() where waiting[index].revents != 0 {
        guard let answer = try client.receive() else { continue }
        let now = Self.microseconds()
        outcome.latencies.append(UInt32(clamping: now - client.began))
        if answer == .error { outcome.errors += 1 }
        if try !startNext(client, now) { active -= 1 }
      }
    }
    outcome.seconds = Double(Self.microseconds() - began) / 1_000_000
    return outcome
  }

  static func microseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000 + UInt64(time.tv_nsec) / 1000
  }
}

/// One connection of the generator and the operation it waits for.
final class ClusterConnection {
  enum Answer {
    case done
    case error
  }

  let descriptor: Int32
  var began: UInt64 = 0
  private var buffer: [UInt8] = []
  private var request = ClusterRequest(bytes: [])
  private var chunk = [UInt8](repeating: 0, count: 64 << 10)

  init(port: UInt16) throws(ClusterLoad.Failure) {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard result == 0 else {
      throw ClusterLoad.Failure(description: "cannot connect to 127.0.0.1:\(port)")
    }
    var isOn: Int32 = 1
    setsockopt(
      descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &isOn, socklen_t(MemoryLayout<Int32>.size))
  }

  /// Sends the operation's first request.
  func begin(_ request: ClusterRequest) throws(ClusterLoad.Failure) {
    self.request = request
    try send(request.bytes)
  }

  /// Reads what has come; returns the answer when the operation is done.
  func receive() throws(ClusterLoad.Failure) -> Answer? {
    let count = chunk.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
    guard count > 0 else { throw ClusterLoad.Failure(description: "a node closed a connection") }
    buffer.append(contentsOf: chunk[0..<count])
    guard buffer.count >= 5 else { return nil }
    let length = buffer[0..<4].reduce(0) { $0 << 8 | Int($1) }
    guard buffer.count >= 4 + length else { return nil }
    defer { buffer.removeAll(keepingCapacity: true) }
    let code = buffer[4]
    if code == 0 { return .error }
    // An update's GET is answered: go on with its PUT.
    if let next = request.next {
      request.next = nil
      try send(next(ClusterFrames.context(of: buffer[5..<4 + length])))
      return nil
    }
    return .done
  }

  private func send(_ bytes: [UInt8]) throws(ClusterLoad.Failure) {
    var offset = 0
    while offset < bytes.count {
      let count = bytes.withUnsafeBytes {
        Glibc.send(
          descriptor, $0.baseAddress?.advanced(by: offset), $0.count - offset,
          Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else {
        throw ClusterLoad.Failure(description: "a node closed a connection")
      }
      offset += count
    }
  }
}
