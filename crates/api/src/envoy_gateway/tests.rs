use super::*;

const HEAD: &str = "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyGateway\n";

fn read(rest: &str) -> Result<EnvoyGateway, ConfigError> {
    parse(&format!("{HEAD}{rest}"))
}

fn refusal(rest: &str) -> String {
    read(rest).unwrap_err().to_string()
}

#[test]
fn the_walkthroughs_file_is_read() {
    let config = read(
        "provider:\n  type: Kubernetes\ngateway:\n  controllerName: gateway.envoyproxy.io/gatewayclass-controller\nextensionApis:\n  enableBackend: true\n",
    )
    .unwrap();
    assert!(config.extension_apis.enable_backend);
    assert_eq!(config.gateway.controller_name, DEFAULT_CONTROLLER_NAME);
    assert_eq!(config.provider.type_, ProviderType::Kubernetes);
    assert!(config.unused().is_empty(), "{:?}", config.unused());
}

#[test]
fn defaults_are_upstreams() {
    for rest in ["", "gateway: {}\n", "gateway:\n", "gateway:\n  controllerName: \"\"\n"] {
        let config = read(rest).unwrap();
        assert_eq!(config.gateway.controller_name, DEFAULT_CONTROLLER_NAME, "{rest}");
        assert!(!config.extension_apis.enable_backend);
        assert_eq!(config.logging.default_level(), LogLevel::Info);
    }
}

#[test]
fn what_has_no_effect_is_told() {
    let config = read(concat!(
        "provider:\n  type: Kubernetes\n  kubernetes:\n    watch:\n      type: Namespaces\n      namespaces: [a]\n",
        "    leaderElection:\n      disable: false\n",
        "logging:\n  level:\n    default: debug\nrateLimit:\n  backend:\n    type: Redis\n",
        "extensionApis:\n  enableBackend: true\n  enableEnvoyPatchPolicy: true\n  enableLua: false\n",
        "envoyProxy:\n  telemetry:\n    accessLog:\n      disable: true\n",
    ))
    .unwrap();
    assert_eq!(config.logging.default_level(), LogLevel::Debug);
    assert_eq!(
        config.unused(),
        [
            "provider.kubernetes.watch.type",
            "provider.kubernetes.watch.namespaces",
            "rateLimit",
            "extensionApis.enableEnvoyPatchPolicy",
            "envoyProxy.telemetry.accessLog.disable",
        ]
    );
}

#[test]
fn another_document_is_refused() {
    let wrong = "the configuration must declare apiVersion gateway.envoyproxy.io/v1alpha1 and kind EnvoyGateway; it declares ";
    for (text, found) in [
        ("apiVersion: gateway.envoyproxy.io/v1\nkind: EnvoyGateway\n", r#"apiVersion "gateway.envoyproxy.io/v1" and kind "EnvoyGateway""#),
        (
            "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: Gateway\n",
            r#"apiVersion "gateway.envoyproxy.io/v1alpha1" and kind "Gateway""#,
        ),
        ("kind: EnvoyGateway\n", r#"apiVersion "" and kind "EnvoyGateway""#),
        ("apiVersion: 1\nkind: EnvoyGateway\n", r#"apiVersion "1" and kind "EnvoyGateway""#),
        ("", "nothing: it is empty"),
        ("# only a comment\n", "nothing: it is empty"),
    ] {
        assert_eq!(parse(text).unwrap_err().to_string(), format!("{wrong}{found}"), "{text}");
    }
}

#[test]
fn text_that_is_no_yaml_is_refused_with_its_place() {
    for text in ["a: [1\n", "gateway: {\n", "- a\n- b\n", "just text", "a: 1\na: 2\n"] {
        let error = parse(text).unwrap_err();
        assert!(matches!(error, ConfigError::Syntax(_)), "{text}: {error}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
    let error = parse("a: 1\nb: [1\nc: 2\n").unwrap_err().to_string();
    assert!(error.contains("line 3"), "{error}");
}

#[test]
fn unknown_fields_are_all_named_with_what_was_meant() {
    assert_eq!(
        refusal(
            "extensionApis:\n  enableBackends: true\nextensionAPIs: {}\nfrobnicate: 1\nprovider:\n  kubernetes:\n    leaderElection:\n      disabled: true\n"
        ),
        concat!(
            r#"extensionApis.enableBackends: unknown field; did you mean "enableBackend"?; "#,
            r#"extensionAPIs: unknown field; did you mean "extensionApis"?; "#,
            "frobnicate: unknown field; known here are gateway, provider, logging, extensionApis, envoyProxy, admin, gatewayAPI, runtimeFlags, ",
            "telemetry, xdsServer, rateLimit, extensionManager, extensionManagers; ",
            r#"provider.kubernetes.leaderElection.disabled: unknown field; did you mean "disable"?"#,
        )
    );
}

#[test]
fn wrong_types_are_refused_with_their_path() {
    assert_eq!(
        refusal("extensionApis:\n  enableBackend: \"yes\"\n"),
        "extensionApis.enableBackend: invalid type: string \"yes\", expected a boolean"
    );
    assert!(refusal("gateway: 5\n").starts_with("gateway: invalid type: integer `5`"));
}

#[test]
fn values_that_cannot_be_are_all_refused() {
    let error = refusal(concat!(
        "gateway:\n  controllerName: weir\nprovider:\n  type: Host\n  kubernetes:\n    watch:\n      type: Namespaces\n",
        "    leaderElection:\n      leaseDuration: 15x\n",
        "logging:\n  level:\n    default: loud\n    system: info\n  encoder: XML\nextensionApis:\n  disableLua: true\n  enableLua: true\n",
    ));
    for part in [
        r#"gateway.controllerName: "weir" must be a domain and a path"#,
        r#"provider.type: "Host" must be Kubernetes"#,
        "provider.kubernetes.watch.namespaces: type Namespaces needs at least one",
        r#"provider.kubernetes.leaderElection.leaseDuration: invalid duration "15x""#,
        r#"logging.level.default: "loud" must be one of debug, info, warn, error"#,
        "logging.level.system: unknown component",
        r#"logging.encoder: "XML" must be one of Text, JSON"#,
        "extensionApis.disableLua: contradicts enableLua",
    ] {
        assert!(error.contains(part), "{part:?} is missing in {error}");
    }
    assert!(refusal("provider:\n  type: Custom\n").contains("use `weir run -f PATH`"));
}
