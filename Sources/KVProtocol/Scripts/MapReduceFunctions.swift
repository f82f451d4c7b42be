import KVBase
import KVModel

/// The built-in functions of map phases.
enum MapFunction: String {
  case identity = "map_identity"
  case objectValue = "map_object_value"
  case objectValueList = "map_object_value_list"
  /// The values of all siblings, as old clients name it.
  case values = "Riak.mapValues"
  /// The same, read as JSON.
  case jsonValues = "Riak.mapValuesJson"

  /// What the function makes of an object, which may not exist.
  func apply(
    _ object: KVObject, _ key: ObjectKey, data: JSONValue?, argument: JSONValue?
  ) throws(ProtocolFailure) -> [JSONValue] {
    guard !object.isDeleted else { return missing(key, data: data, argument) }
    if self == .identity { return [try Self.described(object, key)] }
    if self == .values || self == .jsonValues { return try values(of: object) }
    guard object.siblings.count == 1 else {
      throw .refused("{siblings,\(object.siblings.count)}")
    }
    let value = object.siblings[0].content.value
    if self == .objectValue { return [.string(try Self.text(value))] }
    guard let list = JSONValue(value)?.array else { throw .refused("{not_a_list,value}") }
    return list
  }

  private func values(of object: KVObject) throws(ProtocolFailure) -> [JSONValue] {
    var values: [JSONValue] = []
    for sibling in object.siblings where !sibling.content.isTombstone {
      let bytes = sibling.content.value
      if self == .values {
        values.append(.string(try Self.text(bytes)))
      } else if let value = JSONValue(bytes) {
        values.append(value)
      } else {
        throw .refused("{invalid_json,value}")
      }
    }
    return values
  }

  /// What an input that does not exist gives, as the argument says.
  private func missing(
    _ key: ObjectKey, data: JSONValue?, _ argument: JSONValue?
  ) -> [JSONValue] {
    if let substitute = argument?["sub"] { return [substitute] }
    switch argument?.string {
    case "filter_notfound": return []
    case "include_keydata": return [data ?? .string("undefined")]
    default:
      let reference = MapReduceItem.reference(key)
      return [
        .object([
          "not_found": .object([
            "bucket": reference[0], "key": reference[1],
            "keydata": data ?? .string("undefined"),
          ])
        ])
      ]
    }
  }

  private static func described(
    _ object: KVObject, _ key: ObjectKey
  ) throws(ProtocolFailure) -> JSONValue {
    var values: [JSONValue] = []
    for sibling in object.siblings where !sibling.content.isTombstone {
      var metadata: [String: JSONValue] = [:]
      if let type = sibling.content.contentType {
        metadata["content-type"] = .string(try text(type))
      }
      for index in sibling.content.indexes {
        metadata["index_" + (try text(index.key))] = .string(try text(index.value ?? []))
      }
      values.append(
        .object([
          "metadata": .object(metadata), "data": .string(try text(sibling.content.value)),
        ]))
    }
    let reference = MapReduceItem.reference(key)
    return .object(["bucket": reference[0], "key": reference[1], "values": .array(values)])
  }

  private static func text(_ bytes: Bytes) throws(ProtocolFailure) -> String {
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw .refused("{invalid_utf8,value}")
    }
    return text
  }
}

/// The built-in functions of reduce phases.
enum ReduceFunction: String {
  case identity = "reduce_identity"
  case setUnion = "reduce_set_union"
  case sum = "reduce_sum"
  case sort = "reduce_sort"
  case stringToInteger = "reduce_string_to_integer"
  case plistSum = "reduce_plist_sum"
  case countInputs = "reduce_count_inputs"
  case delete = "reduce_delete"
  // The names that old clients have for built-in functions.
  case namedSum = "Riak.reduceSum"
  case namedMinimum = "Riak.reduceMin"
  case namedMaximum = "Riak.reduceMax"
  case namedSort = "Riak.reduceSort"
  case namedNumericSort = "Riak.reduceNumericSort"
  case namedLimit = "Riak.reduceLimit"
  case namedSlice = "Riak.reduceSlice"
  case namedFilter = "Riak.filterNotFound"

  /// What the function makes of all inputs of its phase.
  func apply(
    _ inputs: [JSONValue], argument: JSONValue?
  ) throws(ProtocolFailure) -> [JSONValue] {
    if rawValue.hasPrefix("Riak.") {
      return try applyNamed(inputs.filter { !$0.isMissing }, argument)
    }
    switch self {
    case .identity: return inputs
    case .setUnion: return Set(inputs).sorted()
    case .sort: return inputs.filter { !$0.isMissing }.sorted()
    case .countInputs, .delete: return [.integer(inputs.count)]
    case .sum: return [try Self.sum(inputs.filter { !$0.isMissing })]
    case .stringToInteger:
      var numbers: [JSONValue] = []
      for input in inputs where !input.isMissing {
        if input.double != nil {
          numbers.append(input)
        } else if let number = input.string.flatMap({ Int($0) }) {
          numbers.append(.integer(number))
        } else {
          throw .refused("{badarg,\(ErlangText.quoted(input.text))}")
        }
      }
      return numbers
    case .plistSum:
      var sums: [String: JSONValue] = [:]
      for case .object(let members) in inputs where members["not_found"] == nil {
        for (name, value) in members {
          sums[name] = try Self.sum([sums[name] ?? .integer(0), value])
        }
      }
      return [.object(sums)]
    default: return inputs
    }
  }

  private func applyNamed(
    _ inputs: [JSONValue], _ argument: JSONValue?
  ) throws(ProtocolFailure) -> [JSONValue] {
    switch self {
    case .namedSum: return [try Self.sum(inputs)]
    case .namedMinimum: return inputs.min().map { [$0] } ?? []
    case .namedMaximum: return inputs.max().map { [$0] } ?? []
    case .namedNumericSort: return inputs.sorted()
    case .namedSort:
      // With a function as its argument it would need JavaScript.
      guard argument?.string == nil else { throw .refused(MapReduceJob.noJavaScript) }
      return inputs.sorted { ($0.string ?? $0.text) < ($1.string ?? $1.text) }
    case .namedLimit:
      guard case .integer(let count)? = argument, count >= 0 else {
        throw .refused("{bad_argument,reduceLimit}")
      }
      return Array(inputs.prefix(count))
    case .namedSlice:
      guard let bounds = argument?.array, bounds.count == 2, case .integer(let start) = bounds[0],
        case .integer(let end) = bounds[1], start >= 0, end >= start
      else { throw .refused("{bad_argument,reduceSlice}") }
      return Array(inputs.prefix(end).dropFirst(start))
    default: return inputs
    }
  }

  private static func sum(_ values: [JSONValue]) throws(ProtocolFailure) -> JSONValue {
    var total = 0
    var fraction: Double?
    for value in values {
      switch value {
      case .integer(let number):
        let (result, overflow) = total.addingReportingOverflow(number)
        guard !overflow else { throw .refused("{badarith,sum}") }
        total = result
      case .number(let number): fraction = (fraction ?? 0) + number
      default: throw .refused("{badarith,\(ErlangText.quoted(value.text))}")
      }
    }
    return fraction.map { .number($0 + Double(total)) } ?? .integer(total)
  }
}

extension JSONValue {
  /// True for what stands for an input that does not exist.
  fileprivate var isMissing: Bool { self["not_found"] != nil }
}
