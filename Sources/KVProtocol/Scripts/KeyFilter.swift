import KVBase
import KVModel

/// One step of a job's key filters: it changes the key, or says whether to keep it.
///
/// **Source**: reference section 1.16; the names are those of the reference's clients.
struct KeyFilter {
  private let name: String
  private let arguments: [JSONValue]
  private let branches: [[KeyFilter]]

  private static let names: Set<String> = [
    "int_to_string", "string_to_int", "float_to_string", "string_to_float", "to_upper", "to_lower",
    "tokenize", "urldecode", "greater_than", "less_than", "greater_than_eq", "less_than_eq",
    "between", "matches", "neq", "eq", "set_member", "starts_with", "ends_with", "and", "or",
    "not",
  ]
  private static let depthLimit = 16

  init(_ value: JSONValue) throws(ProtocolFailure) { try self.init(value, depth: 0) }

  private init(_ value: JSONValue, depth: Int) throws(ProtocolFailure) {
    guard let parts = value.array, let name = parts.first?.string, Self.names.contains(name),
      depth < Self.depthLimit
    else { throw .refused("{bad_filter,\(ErlangText.quoted(value.text))}") }
    self.name = name
    arguments = Array(parts.dropFirst())
    var branches: [[KeyFilter]] = []
    if ["and", "or", "not"].contains(name) {
      for argument in arguments {
        var chain: [KeyFilter] = []
        for step in argument.array ?? [] {
          chain.append(try KeyFilter(step, depth: depth + 1))
        }
        branches.append(chain)
      }
    } else if name == "matches" {
      guard let text = arguments.first?.string, (try? TermPattern(Bytes(text.utf8))) != nil else {
        throw .refused("{bad_filter,\(ErlangText.quoted(value.text))}")
      }
    }
    self.branches = branches
  }

  /// True when the chain keeps the key.
  static func keeps(_ key: Bytes, _ chain: [KeyFilter]) -> Bool {
    keeps(.string(String(decoding: key, as: UTF8.self)), chain)
  }

  private static func keeps(_ start: JSONValue, _ chain: [KeyFilter]) -> Bool {
    var value = start
    for filter in chain {
      if let changed = filter.changed(value) {
        value = changed
      } else if !filter.accepts(value) {
        return false
      }
    }
    return true
  }

  /// The changed key; nil when the filter is a question.
  private func changed(_ value: JSONValue) -> JSONValue? {
    switch name {
    case "int_to_string", "float_to_string": .string(value.text)
    case "string_to_int": value.string.flatMap { Int($0) }.map { .integer($0) } ?? .null
    case "string_to_float": value.string.flatMap { Double($0) }.map { .number($0) } ?? .null
    case "to_upper": .string((value.string ?? "").uppercased())
    case "to_lower": .string((value.string ?? "").lowercased())
    case "urldecode": .string((value.string ?? "").removingPercentEncodingOrSelf)
    case "tokenize": token(value)
    default: nil
    }
  }

  private func token(_ value: JSONValue) -> JSONValue {
    guard let text = value.string, arguments.count == 2, let separators = arguments[0].string,
      case .integer(let place) = arguments[1]
    else { return .null }
    let parts = text.split { separators.contains($0) }
    return parts.indices.contains(place - 1) ? .string(String(parts[place - 1])) : .null
  }

  private func accepts(_ value: JSONValue) -> Bool {
    let first = arguments.first ?? .null
    switch name {
    case "greater_than": return first < value
    case "less_than": return value < first
    case "greater_than_eq": return !(value < first)
    case "less_than_eq": return !(first < value)
    case "between":
      guard arguments.count >= 2 else { return false }
      if arguments.count > 2, arguments[2] == .bool(false) {
        return first < value && value < arguments[1]
      }
      return !(value < first) && !(arguments[1] < value)
    case "neq": return value != first
    case "eq": return value == first
    case "set_member": return arguments.contains(value)
    case "starts_with": return (value.string ?? "").hasPrefix(first.string ?? "")
    case "ends_with": return (value.string ?? "").hasSuffix(first.string ?? "")
    case "matches":
      let pattern = try? TermPattern(Bytes((first.string ?? "").utf8))
      return pattern?.matches(Bytes((value.string ?? "").utf8)) ?? false
    case "and": return branches.allSatisfy { Self.keeps(value, $0) }
    case "or": return branches.contains { Self.keeps(value, $0) }
    default: return !branches.allSatisfy { Self.keeps(value, $0) }
    }
  }
}
