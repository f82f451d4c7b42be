public import KVBase

/// What an index entry must be besides in its range, and what of it is told: functions that take the
/// term apart, and a condition of what they find.
///
/// Looking at an entry takes time proportional to its length and to that of the expressions.
///
/// **Source**: reference section 2.8.
public struct TermFilter: Hashable, Sendable {
  /// Everything the filter is made of; what travels between nodes.
  public struct Source: Hashable, Sendable {
    /// The functions.
    public var evaluation: Bytes
    /// The condition.
    public var condition: Bytes
    /// The constants named in both.
    public var substitutions: [QuerySubstitution]
    /// The attribute that is told as the term; nil for the term itself.
    public var reported: Bytes?

    /// A filter of these parts.
    public init(
      evaluation: Bytes, condition: Bytes, substitutions: [QuerySubstitution] = [],
      reported: Bytes? = nil
    ) {
      self.evaluation = evaluation
      self.condition = condition
      self.substitutions = substitutions
      self.reported = reported
    }
  }

  /// Which expression means nothing.
  public enum Failure: Error, Hashable, Sendable {
    case evaluation(QueryFailure)
    case condition(QueryFailure)
    case reported(QueryFailure)
  }

  /// What an entry that meets the condition is told as, and what it cost to find out.
  public struct Finding: Hashable, Sendable {
    /// The term that is told; nil when the entry is not.
    public var term: Bytes?
    /// About how many bytes were looked at.
    public var cost: Int
  }

  /// The most constants.
  public static let substitutionLimit = 128

  /// What it was made of.
  public let source: Source
  private let attributes: QueryAttributes
  private let functions: [QueryFunction]
  private let condition: QueryCondition
  private let reported: Int?

  /// The filter of the expressions.
  public init(_ source: Source) throws(Failure) {
    var attributes = QueryAttributes()
    self.source = source
    do throws(QueryFailure) {
      functions = try QueryEvaluationParser.parse(
        source.evaluation, source.substitutions, &attributes)
    } catch {
      throw .evaluation(error)
    }
    do throws(QueryFailure) {
      condition = try QueryConditionParser.parse(
        source.condition, source.substitutions, &attributes)
    } catch {
      throw .condition(error)
    }
    if let name = source.reported {
      guard let number = attributes.number(of: name) else {
        throw .reported(QueryFailure(reason: "too many attributes", offset: 0))
      }
      reported = number
    } else {
      reported = nil
    }
    self.attributes = attributes
  }

  /// Looks at an entry.
  ///
  /// An entry without the reported attribute is not told; an integer is told in decimal.
  public func finding(term: Bytes, key: Bytes) -> Finding {
    var scope = QueryScope(attributes, term: term, key: key)
    for function in functions { scope.perform(function) }
    let cost = scope.cost + term.count + key.count
    guard condition.holds(scope.values) else { return Finding(term: nil, cost: cost) }
    guard let reported else { return Finding(term: term, cost: cost) }
    switch scope.values[reported] {
    case .text(let text)?: return Finding(term: text, cost: cost)
    case .integer(let number)?: return Finding(term: Bytes("\(number)".utf8), cost: cost)
    case .list?, nil: return Finding(term: nil, cost: cost)
    }
  }
}
