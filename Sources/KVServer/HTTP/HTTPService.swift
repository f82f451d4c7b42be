import KVBase
import Logging
import NIOCore
import Synchronization

/// The running HTTP interface: a task that serves until it is stopped.
final class HTTPService: Sendable {
  /// The port in use.
  let port: Int
  private let task: Task<Void, Never>

  private init(port: Int, task: Task<Void, Never>) {
    self.port = port
    self.task = task
  }

  /// Starts to serve and returns when the port is bound.
  static func start(
    _ interface: HTTPInterface, on group: any EventLoopGroup, logger: Logger
  ) async throws(ServerError) -> HTTPService {
    let (outcomes, report) = AsyncStream.makeStream(of: Result<Int, ServerError>.self)
    let endpoint = interface.configuration.httpEndpoint
    let task = Task {
      do {
        try await interface.run(on: group, logger: logger) { report.yield(.success($0)) }
      } catch {
        report.yield(
          .failure(
            ServerError(.bind, "cannot listen on \(endpoint): \(error)", context: "listen.http")))
      }
      report.finish()
    }
    for await outcome in outcomes {
      return HTTPService(port: try outcome.get(), task: task)
    }
    throw ServerError(.bind, "the HTTP interface ended at once", context: "listen.http")
  }

  /// Stops serving.
  func stop() async {
    task.cancel()
    await task.value
  }
}
