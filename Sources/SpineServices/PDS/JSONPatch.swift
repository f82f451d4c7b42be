/// One operation of a JSON Patch.
///
/// **Source**: RFC 6902, of which PDS takes `add`, `replace`, `remove` and `test`, and RFC 6901.
public struct PatchOperation: Codable, Hashable, Sendable {
  /// The operation's name as sent.
  public var op: String
  /// Where, such as `/name/0/family`.
  public var path: String
  /// The value; not for `remove`.
  public var value: JSONValue?

  /// An operation at a path.
  public init(op: String, path: String, value: JSONValue? = nil) {
    self.op = op
    self.path = path
    self.value = value
  }

  /// The path's parts, unescaped; nil when it does not begin with a slash.
  var tokens: [String]? {
    guard path.first == "/" else { return nil }
    return path.dropFirst().split(separator: "/", omittingEmptySubsequences: false).map {
      String($0.replacing("~1", with: "/").replacing("~0", with: "~"))
    }
  }
}

extension JSONValue {
  /// The value at a pointer's parts, or nil.
  func value(at tokens: some Collection<String>) -> JSONValue? {
    guard let first = tokens.first else { return self }
    let rest = tokens.dropFirst()
    switch self {
    case .object(let members): return members[first]?.value(at: rest)
    case .array: return Int(first).flatMap { self[$0] }?.value(at: rest)
    default: return nil
    }
  }

  /// Changes the value at a pointer's parts; false when the operation does not fit.
  mutating func apply(_ operation: PatchOperation, at tokens: ArraySlice<String>) -> Bool {
    guard let first = tokens.first else { return false }
    guard tokens.count == 1 else {
      guard var child = value(at: [first]), child.apply(operation, at: tokens.dropFirst()) else {
        return false
      }
      return put(child, at: first)
    }
    switch operation.op {
    case "add":
      guard let value = operation.value else { return false }
      if case .array(var elements) = self {
        guard let index = first == "-" ? elements.count : Int(first),
          (0...elements.count).contains(index)
        else { return false }
        elements.insert(value, at: index)
        self = .array(elements)
        return true
      }
      return put(value, at: first)
    case "replace":
      guard let value = operation.value, self.value(at: [first]) != nil else { return false }
      return put(value, at: first)
    case "remove": return remove(first)
    case "test": return value(at: [first]) == operation.value
    default: return false
    }
  }

  private mutating func put(_ value: JSONValue, at token: String) -> Bool {
    switch self {
    case .object(var members):
      members[token] = value
      self = .object(members)
    case .array(var elements):
      guard let index = Int(token), elements.indices.contains(index) else { return false }
      elements[index] = value
      self = .array(elements)
    default: return false
    }
    return true
  }

  private mutating func remove(_ token: String) -> Bool {
    switch self {
    case .object(var members):
      guard members.removeValue(forKey: token) != nil else { return false }
      self = .object(members)
    case .array(var elements):
      guard let index = Int(token), elements.indices.contains(index) else { return false }
      elements.remove(at: index)
      self = .array(elements)
    default: return false
    }
    return true
  }
}
