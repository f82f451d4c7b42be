import Foundation
import FoundationNetworking
import KVServer
import Synchronization

/// Asks one node over HTTP.
struct NodeClient {
  let address: String
  let timeout: Double

  /// A document from a path.
  func get<Document: Decodable>(_ path: String, as type: Document.Type) throws -> Document {
    try decode(try send("GET", path, body: nil))
  }

  /// The text at a path.
  func text(_ path: String) throws -> String {
    String(decoding: try send("GET", path, body: nil), as: UTF8.self)
  }

  /// The raw bytes at a path.
  func data(_ path: String) throws -> Data { try send("GET", path, body: nil) }

  /// A command whose answer is a document.
  func post<Document: Decodable>(
    _ path: String, _ target: AdminDocument.Target? = nil, as type: Document.Type
  ) throws -> Document {
    try decode(
      try send("POST", path, body: try target.map { try AdminDocument.encoder.encode($0) }))
  }

  /// A question whose body and answer are documents.
  func post<Document: Decodable>(
    _ path: String, body: some Encodable, as type: Document.Type
  ) throws -> Document {
    try decode(try send("POST", path, body: try AdminDocument.encoder.encode(body)))
  }

  /// A command that is done or refused.
  func command(
    _ path: String, _ target: AdminDocument.Target? = nil
  ) throws -> AdminDocument.Outcome {
    try post(path, target, as: AdminDocument.Outcome.self)
  }

  /// A command with a body of the caller's own.
  func command(_ path: String, raw body: Data) throws -> AdminDocument.Outcome {
    try decode(try send("POST", path, body: body))
  }

  private func decode<Document: Decodable>(_ data: Data) throws -> Document {
    do {
      return try AdminDocument.decoder.decode(Document.self, from: data)
    } catch {
      throw CommandFailure.refused("The answer of http://\(address) is not what was expected.")
    }
  }

  /// The body of a successful answer; failures become errors with their exit code.
  private func send(_ method: String, _ path: String, body: Data?) throws -> Data {
    guard let url = URL(string: "http://\(address)\(path)") else {
      throw CommandFailure(message: "'\(address)' is not host:port.", exitCode: 2)
    }
    var request = URLRequest(url: url, timeoutInterval: timeout)
    request.httpMethod = method
    if method == "POST" { request.httpBody = body ?? Data() }
    request.setValue("application/json", forHTTPHeaderField: "Content-Type")
    let (data, status) = try perform(request)
    guard status == 200 else {
      let outcome = try? AdminDocument.decoder.decode(AdminDocument.Outcome.self, from: data)
      throw CommandFailure.refused(outcome?.message ?? "HTTP status \(status) from \(address)")
    }
    return data
  }

  private func perform(_ request: URLRequest) throws -> (Data, Int) {
    let outcome = Mutex<Result<(Data, Int), CommandFailure>?>(nil)
    let done = DispatchSemaphore(value: 0)
    let address = address
    let task = URLSession.shared.dataTask(with: request) { data, response, error in
      outcome.withLock {
        if let response = response as? HTTPURLResponse {
          $0 = .success((data ?? Data(), response.statusCode))
        } else {
          let why = error?.localizedDescription ?? "no answer"
          $0 = .failure(.unreachable(address, why))
        }
      }
      done.signal()
    }
    task.resume()
    done.wait()
    return try outcome.withLock {
      try $0?.get() ?? { throw CommandFailure.unreachable(address, "no answer") }()
    }
  }
}
