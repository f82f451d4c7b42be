import Hummingbird
import KVBase
import KVModel
import KVProtocol
import NIOCore

/// An answer that is sent piece by piece, as it comes.
///
/// What is wrong from the start is answered like any failure; what goes wrong later can only be said
/// in a piece.
///
/// **Source**: reference sections 2.4, 2.5 and 2.7.
enum ClientStream {
  /// How pieces are told apart.
  enum Form {
    /// JSON objects, one behind the other.
    case objects
    /// Parts of `multipart/mixed`, each a JSON object.
    case parts

    /// A boundary that JSON cannot hold: a line break in it would be escaped.
    static let boundary = "spinekv-part"

    var contentType: String {
      switch self {
      case .objects: "application/json"
      case .parts: "multipart/mixed;boundary=\(Self.boundary)"
      }
    }

    func piece(_ value: JSONValue) -> ByteBuffer {
      switch self {
      case .objects: ByteBuffer(string: value.text)
      case .parts:
        ByteBuffer(
          string: "\r\n--\(Self.boundary)\r\nContent-Type: application/json\r\n\r\n\(value.text)")
      }
    }

    var end: ByteBuffer? {
      switch self {
      case .objects: nil
      case .parts: ByteBuffer(string: "\r\n--\(Self.boundary)--\r\n")
      }
    }
  }

  /// The answer with a piece for each reply.
  ///
  /// - Throws: the failure that the first reply is, unless it is that the time is up.
  static func response(
    _ replies: ReplyStream, as form: Form,
    _ pieces: @escaping @Sendable (ClientReply) -> [JSONValue]
  ) async throws(ClientFailure) -> Response {
    var iterator = replies.makeAsyncIterator()
    guard let first = await iterator.next() else { throw .failed(.overload) }
    if case .failure(let failure) = first {
      // The reference has begun to answer before its time is up, and clients expect that.
      guard failure == .timeout else { throw .failed(failure) }
      return response(as: form) { try await $0.write(form.piece(Self.error(failure.text()))) }
    }
    return response(as: form) { writer in
      for value in pieces(first) { try await writer.write(form.piece(value)) }
      if first.isPart { replies.taken() }
      var isWhole = !first.isPart
      for await reply in replies {
        isWhole = !reply.isPart
        if case .failure(let failure) = reply {
          return try await writer.write(form.piece(Self.error(failure.text())))
        }
        for value in pieces(reply) { try await writer.write(form.piece(value)) }
      }
      // The node stops: the client must not take what it has for everything.
      if !isWhole { throw CancellationError() }
    }
  }

  /// The answer whose pieces `body` writes.
  static func response(
    as form: Form,
    _ body: @escaping @Sendable (inout any ResponseBodyWriter) async throws -> Void
  ) -> Response {
    var response = ClientResponse.empty(.ok, [("Content-Type", form.contentType)])
    response.body = ResponseBody { writer in
      try await body(&writer)
      if let end = form.end { try await writer.write(end) }
      try await writer.finish(nil)
    }
    return response
  }

  static func error(_ text: String) -> JSONValue { .object(["error": .string(text)]) }
}
