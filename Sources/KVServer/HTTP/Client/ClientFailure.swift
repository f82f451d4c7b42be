import HTTPTypes
import Hummingbird
import KVBase
import KVModel
import KVProtocol
import KVTransport
import NIOCore

/// Why a request of the client interface is not done.
enum ClientFailure: Error {
  /// The request means nothing; the text says why.
  case malformed(String)
  /// An operator has switched operations of the class off.
  case disabled(JobClass)
  /// The body is larger than an object may be.
  case tooLarge
  /// The node failed to do it.
  case failed(RequestFailure)
  /// There is nothing.
  case notFound
  /// A condition of the request does not hold.
  case precondition
  /// The object is as it was when the client saw it.
  case notModified(etag: String?)
  /// The clock that a write wanted to find is not the object's.
  case conflict(String)

  /// The response that says so.
  ///
  /// **Source**: reference section 2.2.
  var response: Response {
    switch self {
    case .malformed(let text): ClientResponse.text(.badRequest, text)
    case .disabled(let job): ClientResponse.text(.forbidden, job.refusal)
    case .tooLarge:
      ClientResponse.text(.contentTooLarge, "The body exceeds object.size_limit.\n")
    case .failed(let failure): Self.response(failure)
    case .notFound: ClientResponse.text(.notFound, "not found\n")
    case .precondition: ClientResponse.page(.preconditionFailed)
    case .notModified(let etag):
      ClientResponse.empty(.notModified, etag.map { [("ETag", $0)] } ?? [])
    case .conflict(let text): ClientResponse.text(.conflict, text)
    }
  }

  private static func response(_ failure: RequestFailure) -> Response {
    func unsatisfied(_ name: String, _ need: Int, _ got: Int) -> Response {
      ClientResponse.text(
        .serviceUnavailable, "\(name)-value unsatisfied: \(got)/\(need)\n")
    }
    switch failure {
    case .unknownBucketType(let type):
      return ClientResponse.text(
        .notFound, "Unknown bucket type: \(String(decoding: type, as: UTF8.self))")
    case .nValViolation(let nVal):
      return ClientResponse.text(
        .badRequest,
        "Specified w/dw/pw/node_confirms values invalid for bucket n value of \(nVal)\n")
    case .matchFound, .failed: return ClientResponse.page(.preconditionFailed)
    case .modified, .notFound: return ClientResponse.text(.conflict, "\(failure.text())\n")
    case .timeout: return ClientResponse.text(.serviceUnavailable, "request timed out\n")
    case .overload, .allNodesDown:
      return ClientResponse.text(.serviceUnavailable, "\(failure.text())\n")
    case .rUnsatisfied(let need, let got): return unsatisfied("R", need, got)
    case .prUnsatisfied(let need, let got): return unsatisfied("PR", need, got)
    case .dwUnsatisfied(let need, let got): return unsatisfied("DW", need, got)
    case .pwUnsatisfied(let need, let got): return unsatisfied("PW", need, got)
    case .nodeConfirmsUnsatisfied(let need, let got):
      return unsatisfied("node_confirms", need, got)
    case .tooLarge(let text): return ClientResponse.text(.contentTooLarge, "\(text)\n")
    default: return ClientResponse.text(.internalServerError, "Error:\n\(failure.text())\n")
    }
  }
}

extension MemoryShare {
  /// Holds `byteCount` bytes more.
  ///
  /// - Throws: that the node is overloaded, when there is not as much left.
  func take(_ byteCount: Int) throws(ClientFailure) {
    guard add(byteCount) else { throw .failed(.overload) }
  }
}

/// The shapes of the client interface's responses.
enum ClientResponse {
  typealias Header = (name: String, value: String)

  static func text(_ status: HTTPResponse.Status, _ text: String) -> Response {
    body(status, "text/plain", Bytes(text.utf8), [])
  }

  static func json(_ status: HTTPResponse.Status, _ value: JSONValue) -> Response {
    body(status, "application/json", Bytes(value.text.utf8), [])
  }

  /// The page that web servers have for a status.
  static func page(_ status: HTTPResponse.Status, _ headers: [Header] = []) -> Response {
    body(
      status, "text/html",
      Bytes(
        """
        <html><head><title>\(status)</title></head><body><h1>\(status.reasonPhrase)</h1></body></html>

        """.utf8), headers)
  }

  static func body(
    _ status: HTTPResponse.Status, _ type: String, _ bytes: Bytes, _ headers: [Header]
  ) -> Response {
    var response = empty(status, headers + [("Content-Type", type)])
    response.body = ResponseBody(byteBuffer: ByteBuffer(bytes: bytes))
    response.headers[.contentLength] = "\(bytes.count)"
    return response
  }

  static func empty(_ status: HTTPResponse.Status, _ headers: [Header] = []) -> Response {
    var fields: HTTPFields = [.vary: "Accept-Encoding"]
    for header in headers {
      // Names come from stored metadata too; one that HTTP does not allow is left out.
      guard let name = HTTPField.Name(header.name) else { continue }
      fields.append(HTTPField(name: name, value: header.value))
    }
    return Response(status: status, headers: fields)
  }
}
