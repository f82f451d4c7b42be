/// The version of this server.
public enum ServerVersion {
  /// The version as text.
  public static let text = "0.1.0"

  /// The version of Riak KV whose client interfaces this server speaks; clients choose by it what they
  /// use.
  static let clientInterface = "3.4.0"
}
