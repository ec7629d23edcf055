//! The test vectors of weixin-api.md 3.4, as they stand there.

pub(super) struct Vector {
    pub(super) token: &'static str,
    pub(super) key: &'static str,
    pub(super) appid: &'static str,
    pub(super) timestamp: &'static str,
    pub(super) nonce: &'static str,
    pub(super) msg_signature: &'static str,
    pub(super) random: &'static str,
    pub(super) message: &'static str,
    pub(super) encrypt: &'static str,
}

/// Official, third-party platform.
pub(super) const V1: Vector = Vector {
    token: "AAAAA",
    key: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    appid: "wx134c8103faa5a59e",
    timestamp: "1715943329",
    nonce: "1590219412",
    msg_signature: "6c12a4205838198b8fa631b3220723bb07f1015c",
    random: "1205899eaf019bbd",
    message: "<xml><ToUserName><![CDATA[gh_97417a04a28d]]></ToUserName>\n<FromUserName><![CDATA[o9AgO5Kd5ggOC-bXrbNODIiE3bGY]]></FromUserName>\n<CreateTime>1715943329</CreateTime>\n<MsgType><![CDATA[event]]></MsgType>\n<Event><![CDATA[debug_demo]]></Event>\n<debug_str><![CDATA[hello world]]></debug_str>\n</xml>",
    encrypt: "D7yzvUNAL930rd28wf21s4hvXhz0L6Uit/p2Di6C5DHyYGpEgdBRnKjBec34JwoQXicwaZC7fOVihW80F4VtsdvE//1vr7oAbqjDv8KenVp+ajKYpJnyQ4zMRhIC+a31fCVOMC03FfzV/QuC94kBP55a+Za3sJgvAn+ZbsNqZI5DkyuzkhQN8OBqCzFhizGmy0xpM0MEA4agpvE+RuNO1rhHTtuJB5yltw1FiYzecSXJ+y/D2r81VkRn2eYjh2ltsoyfbDR7Is6ookXIFxTfyeNyeHxMeT4KN5WpCDmSbTcUYrbBUlkGLJ9n/rU8YOywma6G7aTb7KZKOqCxgfoUlYEZPk4FUL/TK7ShriFDMVCLyjQJ15Ob++agDWtcxhfUfe6HIoIpRW8mKNBQiY/Jd1svvuskA1wLef1RTtzKfMpagSCX/laZINmdnX4zrF6kIaR9P4xQrWXbsTFHTYe0Mg==",
};

/// Official, the reply to V1.
pub(super) const V1R: Vector = Vector {
    token: "AAAAA",
    key: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    appid: "wx134c8103faa5a59e",
    timestamp: "1713424427",
    nonce: "415670741",
    msg_signature: "03e0812039325c2712ef5f0f980fd14c70d6e307",
    random: "999951349e8ee746",
    message: "<xml><demo_resp>[CDATA[good luck]]</demo_resp></xml>",
    encrypt: "hE8R6mGXHkJJjU72KxzKUd1GEkKJaEZq7vRL8XgK3o+00k8JGq6+pZJUIlTSyhsX+bxIBQ72g3GyvDdIZcr6+3HAZbSvPT9t/o11MI7d6WELwqrGd7jMnV0zv3Zc9Nq7",
};

/// Official, a mini program: JSON, the same cipher.
pub(super) const V2: Vector = Vector {
    token: "AAAAA",
    key: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    appid: "wxba5fad812f8e6fb9",
    timestamp: "1714112445",
    nonce: "415670741",
    msg_signature: "046e02f8204d34f8ba5fa3b1db94908f3df2e9b3",
    random: "a8eedb185eb2fecf",
    message: r#"{"ToUserName":"gh_97417a04a28d","FromUserName":"o9AgO5Kd5ggOC-bXrbNODIiE3bGY","CreateTime":1714112445,"MsgType":"event","Event":"debug_demo","debug_str":"hello world"}"#,
    encrypt: "+qdx1OKCy+5JPCBFWw70tm0fJGb2Jmeia4FCB7kao+/Q5c/ohsOzQHi8khUOb05JCpj0JB4RvQMkUyus8TPxLKJGQqcvZqzDpVzazhZv6JsXUnnR8XGT740XgXZUXQ7vJVnAG+tE8NUd4yFyjPy7GgiaviNrlCTj+l5kdfMuFUPpRSrfMZuMcp3Fn2Pede2IuQrKEYwKSqFIZoNqJ4M8EajAsjLY2km32IIjdf8YL/P50F7mStwntrA2cPDrM1kb6mOcfBgRtWygb3VIYnSeOBrebufAlr7F9mFUPAJGj04=",
};

/// Official, the reply to V2.
pub(super) const V2R: Vector = Vector {
    token: "AAAAA",
    key: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    appid: "wxba5fad812f8e6fb9",
    timestamp: "1713424427",
    nonce: "415670741",
    msg_signature: "1b9339964ed2e271e7c7b6ff2b0ef902fc94dea1",
    random: "707722b803182950",
    message: r#"{"demo_resp":"good luck"}"#,
    encrypt: "ELGduP2YcVatjqIS+eZbp80MNLoAUWvzzyJxgGzxZO/5sAvd070Bs6qrLARC9nVHm48Y4hyRbtzve1L32tmxSQ==",
};

/// Of the official Java sample: a key with surplus bits, a message in UTF-8; unsigned.
pub(super) const V3: Vector = Vector {
    token: "pamtest",
    key: "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
    appid: "wxb11529c136998cb6",
    timestamp: "",
    nonce: "",
    msg_signature: "",
    random: "aaaabbbbccccdddd",
    message: "我是中文abcd123",
    encrypt: "jn1L23DB+6ELqJ+6bruv21Y6MD7KeIfP82D6gU39rmkgczbWwt5+3bnyg5K55bgVtVzd832WzZGMhkP72vVOfg==",
};

/// Made by the same code that reproduces the others: a ticket.
pub(super) const V6: Vector = Vector {
    token: "AAAAA",
    key: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    appid: "wx134c8103faa5a59e",
    timestamp: "1413192605",
    nonce: "1792462871",
    msg_signature: "80e98d88472014b9af4656859cb72ef2d38f9654",
    random: "0123456789abcdef",
    message: "<xml><AppId><![CDATA[wx134c8103faa5a59e]]></AppId><CreateTime>1413192605</CreateTime><InfoType><![CDATA[component_verify_ticket]]></InfoType><ComponentVerifyTicket><![CDATA[ticket@@@test-0001]]></ComponentVerifyTicket></xml>",
    encrypt: "uMMzGtqcnpOzXOYBwDQNrYMcV4ofJZYnaRyJlGt+82U2A6+QGR0YZ03QTzQPFQXmnT7meeV16fsO0IvkKMlFeeKtlZG6dTZzRagCHu/Z4HxpopOVouFUoQUTtBFcQ4DrlDMJoyD50h8dgzeOPbtsw9mLHniib6BYocWTj8wTGx801Sa7vppPtpJt+76iFZWcVT0QDByda0zrYQ/D9xy1KLPbat3V/6M0QuBJ6x0jqIkBmRgn0U03pxjcMyoVy8LCLB8rYfFa+UAnIQQ8qYnCy1nPfRwphaLx8oFtQxgRHxyVce79gYwwWMhCCBzIv7DTs/WeWpPf82FAu6hhTKiYS4bJ6E2YA0vJZEJK+kR+YkAYfOp1FRgzQmJmMY7JiG7N",
};
