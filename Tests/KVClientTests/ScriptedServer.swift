import KVBase
import KVClient
import KVModel
import KVProtocol
import KVTransport
import NIOPosix
import Synchronization

/// What a scripted server does with a request.
enum ScriptedAnswer: Sendable {
  case reply(ClientReply)
  case frames([Bytes])
  case silence
  case hangUp
}

/// A server on a real socket whose answers a test decides.
final class ScriptedServer: Sendable {
  typealias Script = @Sendable (_ request: SessionRequest, _ number: Int) -> ScriptedAnswer

  let listener: FrameListener
  private let count: Tally

  /// Requests received so far.
  var requestCount: Int { count.count }
  var endpoint: KVEndpoint { KVEndpoint(host: "127.0.0.1", port: listener.port) }

  init(port: Int = 0, _ script: @escaping Script) async throws {
    let count = Tally()
    self.count = count
    listener = try await FrameListener.bind(
      host: "127.0.0.1", port: port, on: MultiThreadedEventLoopGroup.singleton
    ) { connection in
      { event in
        guard case .frame(let payload) = event else { return }
        let number = count.increment()
        do throws(ProtocolFailure) {
          let request = try RequestDecoder.decode(payload) { Bytes("made".utf8) }
          Self.answer(script(request, number), to: request, on: connection)
        } catch {
          connection.send(ReplyEncoder.error(error.text))
        }
      }
    }
  }

  private static func answer(
    _ answer: ScriptedAnswer, to request: SessionRequest, on connection: FrameConnection
  ) {
    switch answer {
    case .silence: break
    case .hangUp: connection.abort()
    case .frames(let frames): for frame in frames { connection.send(frame) }
    case .reply(let reply):
      guard case .perform(_, let shape) = request else {
        if case .answer(let frame) = request { connection.send(frame) }
        return
      }
      for frame in ReplyEncoder.frames(reply, shape: shape) { connection.send(frame) }
    }
  }

  func stop() async { await listener.shutdown(grace: .milliseconds(200)) }
}

/// A count that several tasks change.
final class Tally: Sendable {
  private let value = Mutex(0)

  var count: Int { value.withLock { $0 } }

  /// Adds one; returns the new count.
  @discardableResult
  func increment() -> Int {
    value.withLock {
      $0 += 1
      return $0
    }
  }
}
