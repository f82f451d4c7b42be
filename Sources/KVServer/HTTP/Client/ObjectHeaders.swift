import Foundation
import HTTPTypes
import KVBase
import KVModel
import KVProtocol

/// Contents and clocks as headers.
///
/// **Source**: reference section 2.2.
enum ObjectHeaders {
  private static let metaPrefix = "x-riak-meta-"
  private static let indexPrefix = "x-riak-index-"
  private static let vclock = "X-Riak-Vclock"

  // MARK: Requests

  /// What the headers of a write say about its value.
  static func content(
    _ value: Bytes, _ fields: HTTPFields
  ) throws(ClientFailure) -> Content {
    guard let type = fields[.contentType] else {
      throw .malformed("Missing Content-Type request header")
    }
    let parts = type.split(separator: ";").map { $0.trimmingCharacters(in: .whitespaces) }
    var content = Content(value: value, contentType: Bytes((parts.first ?? "").utf8))
    let charset = parts.dropFirst().first { $0.lowercased().hasPrefix("charset=") }
    content.charset = charset.map { Bytes($0.dropFirst("charset=".count).utf8) }
    content.contentEncoding = fields[.contentEncoding].map { Bytes($0.utf8) }
    var indexes: [Pair] = []
    for field in fields {
      let name = field.name.rawName
      if name.lowercased().hasPrefix(metaPrefix) {
        content.userMetadata.append(
          Pair(key: Bytes(name.dropFirst(metaPrefix.count).utf8), value: Bytes(field.value.utf8)))
      } else if name.lowercased().hasPrefix(indexPrefix) {
        let index = Bytes(name.lowercased().dropFirst(indexPrefix.count).utf8)
        for term in field.value.split(separator: ",") {
          let term = term.trimmingCharacters(in: .whitespaces)
          indexes.append(Pair(key: index, value: Bytes(term.utf8)))
        }
      }
    }
    content.indexes = try normalized(indexes)
    content.links = try links(fields.filter { $0.name.canonicalName == "link" }.map(\.value))
    return content
  }

  private static func normalized(_ indexes: [Pair]) throws(ClientFailure) -> [Pair] {
    do throws(ProtocolFailure) {
      return try IndexRules.normalized(indexes)
    } catch {
      let unknown = indexes.first { !IndexRules.isIndex($0.key) }
      throw .malformed(
        unknown.map {
          "Unknown field type for field: '\(String(decoding: $0.key, as: UTF8.self))'.\n"
        }
          ?? "\(error.text)\n")
    }
  }

  /// The clock in a header; nil when the header is missing.
  static func clock(
    _ fields: HTTPFields, _ name: String = vclock
  ) throws(ClientFailure) -> VersionVector? {
    guard let field = HTTPField.Name(name), let text = fields[field] else { return nil }
    guard let data = Data(base64Encoded: text),
      let clock = try? VersionVector(clientBytes: Bytes(data))
    else { throw .malformed("Bad \(name) value: it is no clock that this cluster gave\n") }
    return clock
  }

  /// The links of `Link` headers: those to objects; those to buckets mean nothing.
  private static func links(_ values: [String]) throws(ClientFailure) -> [Link] {
    var links: [Link] = []
    for text in values.flatMap({ $0.split(separator: ",") }) {
      let text = text.trimmingCharacters(in: .whitespaces)
      guard text.hasPrefix("<"), let end = text.firstIndex(of: ">") else {
        throw .malformed("Invalid Link header: \(text)\n")
      }
      guard let query = ClientQuery(String(text[text.index(after: text.startIndex)..<end])),
        case .object(let key)? = ClientResource(query.parts)
      else { continue }
      let tag = text[end...].split(separator: "riaktag=\"", maxSplits: 1).dropFirst().first?
        .prefix { $0 != "\"" }
      guard let tag else { continue }
      links.append(
        Link(
          bucket: key.bucket.name, key: key.key,
          tag: ClientQuery.decoded("\(tag)") ?? Bytes(tag.utf8)))
    }
    return links
  }

  // MARK: Responses

  static func text(_ clock: VersionVector) -> String {
    Data(clock.clientBytes).base64EncodedString()
  }

  static func etag(_ content: Content) -> String {
    "\"\(String(decoding: content.vtag, as: UTF8.self))\""
  }

  static func seconds(_ content: Content) -> Int {
    Int(content.lastModified.microseconds / 1_000_000)
  }

  static func type(_ content: Content) -> String {
    let type = content.contentType.map { String(decoding: $0, as: UTF8.self) }
    let charset = content.charset.map { "; charset=\(String(decoding: $0, as: UTF8.self))" }
    return (type ?? "application/octet-stream") + (charset ?? "")
  }

  /// The headers of one content, but for its type; `isOld` for the paths of the oldest generation.
  static func headers(
    _ content: Content, in bucket: BucketID, isOld: Bool
  ) -> [ClientResponse.Header] {
    func text(_ bytes: Bytes?) -> String { String(decoding: bytes ?? [], as: UTF8.self) }
    var headers: [ClientResponse.Header] = [
      ("ETag", etag(content)), ("Last-Modified", HTTPDate.text(seconds(content))),
      ("Link", links(content, in: bucket, isOld: isOld)),
    ]
    if let encoding = content.contentEncoding {
      headers.append(("Content-Encoding", text(encoding)))
    }
    headers += content.userMetadata.map { ("X-Riak-Meta-\(text($0.key))", text($0.value)) }
    let fields = Set(content.indexes.map(\.key)).sorted { $0.lexicographicallyPrecedes($1) }
    for field in fields {
      let terms = content.indexes.filter { $0.key == field }.map { text($0.value) }
      headers.append(("x-riak-index-\(text(field))", terms.joined(separator: ", ")))
    }
    if content.isTombstone { headers.append(("X-Riak-Deleted", "true")) }
    return headers
  }

  private static func links(_ content: Content, in bucket: BucketID, isOld: Bool) -> String {
    func path(_ name: Bytes, _ key: Bytes?) -> String {
      let name = ClientQuery.encoded(name)
      let key = key.map(ClientQuery.encoded)
      return isOld
        ? "/riak/\(name)" + (key.map { "/\($0)" } ?? "")
        : bucketPath(bucket.type) + "/\(name)" + (key.map { "/keys/\($0)" } ?? "")
    }
    let links = content.links.map { link in
      "<\(path(link.bucket ?? [], link.key ?? []))>; "
        + "riaktag=\"\(ClientQuery.encoded(link.tag ?? []))\""
    }
    return (links + ["<\(path(bucket.name, nil))>; rel=\"up\""]).joined(separator: ", ")
  }

  private static func bucketPath(_ type: Bytes) -> String {
    type == BucketID.defaultType ? "/buckets" : "/types/\(ClientQuery.encoded(type))/buckets"
  }

  /// Where an object is found.
  static func path(_ key: ObjectKey, isOld: Bool = false) -> String {
    let name = ClientQuery.encoded(key.bucket.name)
    let last = ClientQuery.encoded(key.key)
    return isOld ? "/riak/\(name)/\(last)" : "\(bucketPath(key.bucket.type))/\(name)/keys/\(last)"
  }

  static func vclockHeader(_ clock: VersionVector) -> ClientResponse.Header {
    (vclock, text(clock))
  }
}
